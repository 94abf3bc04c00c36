// Tests the layout that install.sh creates, below a folder: a config that names copies under
// /run/credentials, and units that name their sources.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { checkConfig } from "../../lib/check/config.ts";
import { checkDaemon } from "../../lib/check/daemon.ts";
import { installed } from "../../lib/check/files/lent_files.ts";
import type { Finding } from "../../lib/check/finding.ts";
import { PROJECT } from "../../tools/deno.ts";
import { makeAuthority } from "../fakes/certificates.ts";
import { fakeImage } from "../fakes/docker_engine.ts";
import { missingForMtls } from "../fakes/mtls_proxy.ts";
import { startNode } from "../fakes/node.ts";
import { has } from "../support/install_bench.ts";
import { runProgram } from "../support/program.ts";
import { testIfPossible } from "../support/requirements.ts";

const NOW = Date.now();
const cluster = makeAuthority("cluster");
const UNIT = "/etc/systemd/system/gilly.service";
const LOANS = `${UNIT}.d/20-kubelet-credentials.conf`;
const FILES = ["kubelet-ca.crt", "kubelet-client.crt", "kubelet-client.key"];

class Tree implements AsyncDisposable {
  readonly root = Deno.makeTempDirSync({ prefix: "gilly-lent-" });
  readonly config = `${this.root}/config.yaml`;
  readonly #copies = `${this.root}/run/credentials/gilly.service`;

  constructor() {
    this.issue();
    this.write(UNIT, "[Service]\nExecStart=/usr/local/bin/gilly run\n");
    this.write(LOANS, `[Service]\n${FILES.map((name) => `LoadCredential=${name}:${this.source(name)}\n`).join("")}`);
    const [ca, cert, key] = FILES.map((name) => `${this.#copies}/${name}`);
    this.write(
      "/config.yaml",
      `kubelet:\n  url: https://localhost:10250\n  caFile: ${ca}\n  certFile: ${cert}\n  keyFile: ${key}\nregistries: {gcr.io: mirror.example}\n`,
    );
  }

  source(name: string): string {
    return `${this.root}/pki/${name}`;
  }

  /** Writes new source files. */
  issue(days = 300): void {
    const client = cluster.issueClient({
      commonName: "gilly",
      notAfter: new Date(NOW + days * 86_400_000 + 3_600_000),
    });
    const contents = [cluster.certificatePem, client.certificatePem, client.keyPem];
    FILES.forEach((name, index) => this.write(`/pki/${name}`, contents[index]!));
  }

  /** Does what systemd does when the service starts. */
  start(): void {
    Deno.mkdirSync(this.#copies, { recursive: true });
    for (const name of FILES) Deno.copyFileSync(this.source(name), `${this.#copies}/${name}`);
  }

  stop(): void {
    Deno.removeSync(this.#copies, { recursive: true });
  }

  write(path: string, text: string): void {
    Deno.mkdirSync(`${this.root}${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
    Deno.writeTextFileSync(`${this.root}${path}`, text, { mode: path.endsWith(".key") ? 0o600 : 0o644 });
  }

  async check(nextStart = false): Promise<{ lines: string[]; usable: boolean; findings: readonly Finding[] }> {
    const { findings, usable } = await checkConfig(this.config, NOW, { root: this.root, nextStart });
    const lines = findings.map(({ verdict, name, message, remedy }) =>
      `${verdict} ${name}: ${message}${remedy === undefined ? "" : ` → ${remedy}`}`.replaceAll(this.root, "")
    );
    return { lines, usable, findings };
  }

  /** Returns the findings that are not ok. */
  async troubles(nextStart = false): Promise<string[]> {
    return (await this.check(nextStart)).lines.filter((line) => !line.startsWith("ok"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.root, { recursive: true });
  }
}

Deno.test("while the service is stopped its files are checked at their sources", async () => {
  await using tree = new Tree();
  const { lines, usable } = await tree.check();
  assertEquals(lines.filter((line) => !line.startsWith("ok")), []);
  assertEquals(usable, true);
  assertMatch(lines.join("\n"), /^ok kubelet\.certFile: \/pki\/kubelet-client\.crt is CN=gilly, expires in 300 days/m);
});

Deno.test("a credential key that every user may read is a warning that names its source", async () => {
  await using tree = new Tree();
  tree.start();
  Deno.chmodSync(tree.source("kubelet-client.key"), 0o644);
  for (const nextStart of [false, true]) {
    assertEquals((await tree.troubles(nextStart)).filter((line) => line.startsWith("warn kubelet.keyFile:")), [
      "warn kubelet.keyFile: /pki/kubelet-client.key holds a secret, but its mode 0644 gives every user of this host " +
      "access → chmod o= /pki/kubelet-client.key",
    ]);
  }
});

Deno.test("a problem of a source names the source and how to renew it", async () => {
  await using tree = new Tree();
  tree.issue(9);
  assertMatch(
    (await tree.troubles()).join("\n"),
    /^warn kubelet\.certFile: \/pki\/kubelet-client\.crt is CN=gilly, expires in 9 days \(\S+\) → replace \/pki\/kubelet-client\.crt and its key, then: systemctl restart gilly$/,
  );
  await Deno.remove(tree.source("kubelet-client.key"));
  assertEquals((await tree.troubles()).filter((line) => line.startsWith("fail")), [
    "fail kubelet.keyFile: /pki/kubelet-client.key does not exist; expected a PEM file with a private key " +
    "(loaded as /run/credentials/gilly.service/kubelet-client.key) → " +
    "replace /pki/kubelet-client.key, then: systemctl restart gilly",
  ]);
});

Deno.test("a source replaced while the service runs is a warning until the restart", async () => {
  await using tree = new Tree();
  tree.start();
  assertEquals(await tree.troubles(), []);
  tree.issue();
  const replaced = (key: string, name: string) =>
    `warn kubelet.${key}: /pki/${name} was replaced, and gilly.service still runs with the old one → systemctl restart gilly`;
  assertEquals(await tree.troubles(), [
    replaced("certFile", "kubelet-client.crt"),
    replaced("keyFile", "kubelet-client.key"),
  ]);
  tree.start();
  assertEquals(await tree.troubles(), []);
  await Deno.remove(tree.source("kubelet-ca.crt"));
  assertStringIncludes(
    (await tree.troubles()).join(),
    "/pki/kubelet-ca.crt, of which gilly.service has a copy, does not exist",
  );
});

Deno.test("with the path unit the advice describes what it does, and names its journal if it did not", async () => {
  await using tree = new Tree();
  tree.write("/usr/lib/systemd/system/gilly-renew.path", "[Path]\n");
  const watched = FILES.map((name) => `PathChanged=${tree.source(name)}\n`).join("");
  tree.write("/etc/systemd/system/gilly-renew.path.d/sources.conf", `[Path]\n${watched}`);
  tree.issue(9);
  tree.start();
  const advice = async () => (await tree.troubles()).map((line) => line.replace(/^.* → /, ""));
  assertEquals(await advice(), ["replace /pki/kubelet-client.crt and its key, then: systemctl restart gilly"]);
  tree.write("/etc/systemd/system/gilly.service.wants/gilly-renew.path", "");
  assertEquals(await advice(), [
    "replace /pki/kubelet-client.crt and its key; gilly-renew.path then restarts the service",
  ]);
  tree.issue();
  assertEquals((await advice())[0], "systemctl restart gilly; journalctl -u gilly-renew -n 20 says why it was not");
});

Deno.test("the files of the next start are checked, whatever the service runs with", async () => {
  await using tree = new Tree();
  tree.start();
  const other = cluster.issueClient({ commonName: "gilly" });
  tree.write("/pki/kubelet-client.crt", other.certificatePem);
  assertEquals((await tree.troubles()).filter((line) => line.startsWith("fail")), []);
  const [failed] = await tree.troubles(true);
  assertStringIncludes(failed!, "kubelet-client.key cannot be used with ");
  assertStringIncludes(failed!, "the key does not belong to the certificate");
  const renewed = async () => (await checkConfig(tree.config, NOW, { root: tree.root, nextStart: true })).renewed;
  assertEquals(await renewed(), true);
  tree.write("/pki/kubelet-client.key", other.keyPem);
  tree.start();
  assertEquals(await renewed(), false);
  tree.stop();
  assertEquals(await renewed(), true);
  assertEquals((await tree.troubles(true)).filter((line) => line.startsWith("fail")), []);
});

Deno.test("a copy that no unit loads fails, and an encrypted one is not checked", async () => {
  await using tree = new Tree();
  tree.write(LOANS, `[Service]\nLoadCredentialEncrypted=kubelet-ca.crt:/etc/sealed\n`);
  const { lines, usable } = await tree.check();
  assertEquals(usable, false);
  assertEquals(lines.slice(1, 3), [
    "warn kubelet.caFile: /run/credentials/gilly.service/kubelet-ca.crt was not checked: " +
    "it is there only while gilly.service runs → check again while it runs: systemctl start gilly",
    "fail kubelet.certFile: /run/credentials/gilly.service/kubelet-client.crt is not provided by any unit: " +
    "gilly.service has no LoadCredential=kubelet-client.crt:FILE → add that line: systemctl edit gilly",
  ]);
});

Deno.test("mistakes in the config are reported without false ones about files that are absent now", async () => {
  await using tree = new Tree();
  tree.write("/config.yaml", Deno.readTextFileSync(tree.config).replace("registries", "registry"));
  const { findings } = await tree.check();
  assertEquals(new Set(findings.map(({ name }) => name)), new Set(["config"]));
  assertEquals(findings.some(({ message }) => message.includes("credentials")), false);
});

/**
 * Root without the capabilities to read other users' files, as an ordinary user cannot read root's.
 */
const ORDINARY = ["--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"];
const possible = Deno.uid() === 0 && has("setpriv");
if (!possible) console.log("tests of an ordinary user skipped: missing root, or setpriv");

Deno.test({
  name: "files that an ordinary user may not read are not checked, and the next step is to use root",
  ignore: !possible,
  async fn() {
    await using tree = new Tree();
    const checkAsOrdinary = async () => {
      const module = `file://${PROJECT}lib/check/config.ts`;
      const options = JSON.stringify({ root: tree.root });
      const code = `import { checkConfig } from "${module}";
        console.log(JSON.stringify(await checkConfig("${tree.config}", ${NOW}, ${options})));`;
      const args = [...ORDINARY, Deno.execPath(), "eval", code];
      const { stdout, stderr } = await new Deno.Command("setpriv", { args }).output();
      const text = new TextDecoder().decode(stdout).replaceAll(tree.root, "");
      assertEquals([text === "", new TextDecoder().decode(stderr)], [false, ""]);
      return JSON.parse(text) as { findings: Finding[]; usable: boolean };
    };
    const keepFromOthers = async (path: string) => {
      await Deno.chown(`${tree.root}${path}`, 65534, 65534);
      await Deno.chmod(`${tree.root}${path}`, 0o700);
    };
    await keepFromOthers("/pki");
    const copy = "/run/credentials/gilly.service/kubelet-client.key";
    for (const reason of ["/pki/kubelet-client.key, of which it is a copy,", "the copy that gilly.service runs with"]) {
      const { findings, usable } = await checkAsOrdinary();
      assertEquals(usable, false);
      assertEquals(findings.filter(({ verdict }) => verdict !== "warn").map(({ name }) => name), ["config"]);
      assertEquals(findings.find(({ name }) => name === "kubelet.keyFile"), {
        name: "kubelet.keyFile",
        verdict: "warn",
        message: `${copy} was not checked: ${reason} cannot be read: permission denied`,
        remedy: "run it as root: sudo gilly check",
      });
      tree.start();
      await keepFromOthers("/run/credentials/gilly.service");
    }
    await keepFromOthers("/config.yaml");
    assertEquals((await checkAsOrdinary()).findings, [{
      name: "config",
      verdict: "fail",
      message: "/config.yaml: cannot be read: permission denied",
      remedy: "run it as root: sudo gilly check",
    }]);
  },
});

Deno.test("a daemon that does not run fails if the unit is installed, and is a warning if not", async () => {
  await using tree = new Tree();
  const none = `${tree.root}/run/gilly/state.json`;
  const check = async () =>
    (await checkDaemon(none, NOW, { root: tree.root })).map(({ verdict, message, remedy }) =>
      `${verdict} ${message} → ${remedy}`.replaceAll(tree.root, "")
    );
  assertEquals(await check(), [
    "fail not running: /run/gilly/state.json does not exist → " +
    "systemctl start gilly; journalctl -u gilly -n 20 says why it stopped",
  ]);
  await Deno.remove(`${tree.root}${UNIT}`);
  await Deno.symlink("/dev/null", `${tree.root}${UNIT}`);
  assertEquals(await check(), [
    "fail not running: /run/gilly/state.json does not exist; gilly.service is masked → " +
    "systemctl unmask gilly; systemctl start gilly",
  ]);
  await Deno.remove(`${tree.root}${UNIT}`);
  assertEquals(await installed("gilly.service", { root: tree.root }), "absent");
  assertEquals(await check(), [
    "warn not running: /run/gilly/state.json does not exist; gilly.service is not installed → " +
    "a package or install.sh puts it there, or: gilly run",
  ]);
  tree.write("/usr/local/lib/systemd/system/gilly.service", "[Service]\n");
  assertEquals(await installed("gilly.service", { root: tree.root }), "installed");
});

testIfPossible(
  "the commands other than once work without the files that exist only while the daemon runs",
  missingForMtls(),
  async () => {
    await using node = await startNode({
      client: {},
      pods: [],
      engine: { registries: { "mirror.example": { state: "up", images: { "a/web:1": fakeImage("web") } } } },
    });
    const text = await Deno.readTextFile(node.configFile);
    const lent = text.replace(/(?<=File: )\w+\.(crt|key)/g, (name) => `/run/credentials/gilly-test.service/${name}`);
    assertEquals(lent.match(/\/run\/credentials/g)?.length, 3);
    await Deno.writeTextFile(node.configFile, lent);
    for (
      const call of [["explain", "gcr.io/a/web:1"], ["export", "containerd"], ["history"], ["pull", "gcr.io/a/web:1"]]
    ) {
      const { code, stderr } = await runProgram([...call, "--config", node.configFile]);
      assertEquals({ call, code, refused: /credentials|kubelet/.test(stderr) }, { call, code: 0, refused: false });
    }
    const once = await runProgram(["once", "--config", node.configFile]);
    assertEquals(
      [once.code, once.stderr],
      [
        1,
        "gilly: cannot use /run/credentials/gilly-test.service/ca.crt: gilly-test.service has " +
        "no LoadCredential=ca.crt:FILE; add that line: systemctl edit gilly\n",
      ],
    );
  },
);
