// What a person can do about a Docker Engine: its tools, files, and settings. Pure.

import type { RuntimeAdvice } from "../advice.ts";

/** Where the Engine reads the CAs of registries (docs.docker.com, "Verify repository client with certificates"). */
const CERTS_FOLDER = "/etc/docker/certs.d";

/** Returns the advice for the Engine that listens on a socket. */
export function dockerAdvice(socket: string): RuntimeAdvice {
  return {
    short: "Docker",
    called: "the Docker Engine",
    socket,
    scheme: "docker",
    certsFolder: CERTS_FOLDER,
    findings: { runtime: "docker engine", socket: "docker socket" },
    remedies: {
      noSocket: "check docker.socket in the config; if it is correct: systemctl start docker",
      notASocket:
        "check docker.socket in the config; if it is correct, remove what is there, such as the directory that a " +
        `container leaves which mounts a missing socket: rmdir ${socket}; systemctl restart docker.socket docker`,
      notListening: "systemctl start docker; journalctl -u docker -n 20 says why it stopped",
      hangs: "Docker hangs when its containerd does: systemctl status docker containerd; " +
        "journalctl -u docker -u containerd -n 20 has details",
      silentPart: "systemctl start containerd; journalctl -u containerd -n 20 says why it stopped",
      failed: "systemctl status docker; journalctl -u docker -n 20 has details",
    },
    proxyRemedy:
      "configure it for the Docker Engine, which does the pulling: systemctl show docker -p Environment shows its settings",
    noProxyRemedy(registries) {
      return `add NO_PROXY=${registries.join(",")} to Docker's environment (systemctl edit docker) and restart Docker`;
    },
    mirrorRemedy(mirror, fault) {
      switch (fault) {
        case "plain-http":
          return `the mirror speaks plain HTTP: name ${mirror} in insecure-registries of /etc/docker/daemon.json`;
        case "tls-on-plain":
          return `the mirror speaks HTTPS on this port: take http:// away from ${mirror} in /etc/docker/daemon.json`;
        case "proxy":
          return "check the proxy of the Docker Engine: systemctl show docker -p Environment";
        case "unknown-issuer":
          return `put the mirror's CA into ${CERTS_FOLDER}/${mirror}/ca.crt`;
        case "client-certificate":
          return "the mirror requires a client certificate, or rejected the one it got: " +
            `put it into ${CERTS_FOLDER}/${mirror}/client.cert, and its key into client.key there`;
        default:
          return undefined;
      }
    },
    // With the containerd image store, the Engine reads hosts.toml since 28.0 (moby,
    // daemon/hosts.go). The classic store supports mirrors of docker.io only.
    permanentFix({ version, canAliasDigest: hasContainerdStore }) {
      if (hasContainerdStore && Number(version.split(".")[0]) >= 28) {
        return {
          message: `this Engine reads mirrors from ${CERTS_FOLDER}/HOST/hosts.toml`,
          remedy: "gilly export docker writes them",
        };
      }
      const why = hasContainerdStore ? `${version}; mirrors require 28.0` : "mirrors for docker.io only";
      return { message: `not possible with this Docker Engine (${why}), so keep Gilly running` };
    },
  };
}
