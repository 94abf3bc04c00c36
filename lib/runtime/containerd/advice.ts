// What a person can do about a containerd: its tools, files, and settings. Pure.

import type { RuntimeAdvice, RuntimeInfo } from "../advice.ts";
import type { NetworkFault } from "../network_texts.ts";

/** Where containerd reads certs.d/HOST/hosts.toml, if its config names it (containerd, docs/hosts.md). */
const CERTS_FOLDER = "/etc/containerd/certs.d";

const CONFIG_FILE = "/etc/containerd/config.toml";

const CONTAINERD = {
  units: "containerd",
  start: "systemctl start containerd",
  restart: "restart containerd",
  environment: "systemctl show containerd -p Environment",
};

/** One of four units runs containerd as a part of itself; systemctl and journalctl find it by a pattern. */
const K3S = {
  units: "'k3s*' 'rke2*'",
  start: "systemctl start k3s, k3s-agent, rke2-server or rke2-agent, whichever this worker has",
  restart: "restart k3s, k3s-agent, rke2-server or rke2-agent, whichever this worker has",
  environment: "systemctl show 'k3s*' 'rke2*' -p EnvironmentFiles",
};

/** Where k3s and rke2 read mirrors and their CAs (docs.k3s.io, "Private Registry Configuration"). */
const REGISTRIES_FILE = "registries.yaml of /etc/rancher/k3s or /etc/rancher/rke2";

/** Returns the advice for the containerd that listens on a socket. */
export function containerdAdvice(socket: string): RuntimeAdvice {
  const isInK3s = socket.startsWith("/run/k3s/");
  const { units, start, restart, environment } = isInK3s ? K3S : CONTAINERD;
  const journal = `journalctl ${units.split(" ").map((unit) => `-u ${unit}`).join(" ")} -n 20`;
  const details = `systemctl status ${units}; ${journal} has details`;
  return {
    short: "containerd",
    called: "containerd",
    socket,
    scheme: "containerd",
    certsFolder: CERTS_FOLDER,
    findings: { runtime: "containerd", socket: "containerd socket" },
    remedies: {
      noSocket: `check containerd.socket in the config; if it is correct: ${start}`,
      notASocket:
        "check containerd.socket in the config; if it is correct, remove what is there, such as the directory " +
        `that a container leaves which mounts a missing socket: rmdir ${socket}, and ${restart}`,
      notListening: `${start}; ${journal} says why it stopped`,
      hangs: details,
      silentPart: details,
      failed: details,
    },
    proxyRemedy: `configure it for containerd, which does the pulling: ${environment} shows its settings`,
    noProxyRemedy(registries) {
      const edit = isInK3s ? "the .env file of its unit" : "systemctl edit containerd";
      return `add NO_PROXY=${registries.join(",")} to containerd's environment (${edit}) and ${restart}`;
    },
    mirrorRemedy: isInK3s ? remedyInK3s : remedyInHostsToml,
    permanentFix(info) {
      if (!isInK3s) return fixFor(info);
      return { message: "k3s and rke2 read mirrors from registries.yaml", remedy: "gilly export k3s writes it" };
    },
  };
}

function remedyInHostsToml(mirror: string, fault: NetworkFault): string | undefined {
  const folder = `${CERTS_FOLDER}/${mirror}`;
  switch (fault) {
    case "plain-http":
      return `containerd speaks plain HTTP to it by a line server = "http://${mirror}" of ${folder}/hosts.toml`;
    case "tls-on-plain":
      return `the mirror speaks HTTPS on this port: write https:// instead of http:// into ${folder}/hosts.toml`;
    case "proxy":
      return `check the proxy of containerd: ${CONTAINERD.environment}`;
    case "unknown-issuer":
      return `put the mirror's CA into ${folder}/ca.crt; if that folder has a hosts.toml, name it there: ca =`;
    case "client-certificate":
      return "the mirror requires a client certificate, or rejected the one it got: name it, and its key, in " +
        `${folder}/hosts.toml: client = [["CERTIFICATE", "KEY"]]`;
    default:
      return undefined;
  }
}

/** k3s and rke2 write the hosts.toml files of their containerd themselves. */
function remedyInK3s(mirror: string, fault: NetworkFault): string | undefined {
  const { restart, environment } = K3S;
  switch (fault) {
    case "plain-http":
      return `containerd speaks plain HTTP to it once ${REGISTRIES_FILE} has http://${mirror} under mirrors: ` +
        `then ${restart}`;
    case "tls-on-plain":
      return `the mirror speaks HTTPS on this port: write https:// instead of http://${mirror} under mirrors of ` +
        `${REGISTRIES_FILE}, and ${restart}`;
    case "proxy":
      return `check the proxy of containerd: ${environment}`;
    case "unknown-issuer":
      return `add the mirror's CA to those of this host, or as configs."${mirror}".tls.ca_file to ${REGISTRIES_FILE}, ` +
        `and ${restart}`;
    case "client-certificate":
      return "the mirror requires a client certificate, or rejected the one it got: name it, and its key, as " +
        `configs."${mirror}".tls.cert_file and key_file in ${REGISTRIES_FILE}, and ${restart}`;
    default:
      return undefined;
  }
}

/** hosts.toml is read only where config.toml has a config_path (containerd, docs/hosts.md). */
function fixFor({ version, mirrorsFolder }: RuntimeInfo): ReturnType<RuntimeAdvice["permanentFix"]> {
  if (mirrorsFolder) {
    const [folder] = mirrorsFolder.split(":");
    return {
      message: `this containerd reads mirrors from ${folder}/HOST/hosts.toml`,
      remedy: "gilly export containerd writes them",
    };
  }
  const isSecond = Number(version.replace(/^v/, "").split(".")[0]) >= 2;
  const table = isSecond ? "io.containerd.cri.v1.images" : "io.containerd.grpc.v1.cri";
  const remedy = `write config_path = "${CERTS_FOLDER}" under [plugins."${table}".registry] into ${CONFIG_FILE} ` +
    "and restart containerd; gilly export containerd writes the files";
  return mirrorsFolder === ""
    ? { message: "this containerd has no config_path, so it reads no hosts.toml: keep Gilly running", remedy }
    : { message: "containerd reads mirrors from hosts.toml where it has a config_path", remedy: `if not: ${remedy}` };
}
