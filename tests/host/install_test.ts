// install.sh into a separate tree (--root), which needs no systemd and leaves this machine alone.
// Tests that need a running systemd are in whole_way_test.ts and install_booted_test.ts.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { parseConfig } from "../../lib/config/config.ts";
import { writeStandIn } from "../../tools/compile.ts";
import { PROJECT } from "../../tools/deno.ts";
import { makeAuthority } from "../fakes/certificates.ts";
import { Bench, has, missing, test } from "../support/install_bench.ts";

const DROP_INS = "etc/systemd/system/gilly.service.d";
const UNITS = "usr/local/lib/systemd/system";
const UNIT = `${UNITS}/gilly.service`;
const WANTS = "etc/systemd/system/multi-user.target.wants";

if (missing.length > 0) console.log(`tests of install.sh skipped: missing ${missing.join(", ")}`);

test("an installation is programs, an enabled unit, a config for only its user, and the example", async (bench) => {
  await bench.install();
  const parts = [...Deno.readDirSync(`${PROJECT}systemd/setup`)].map(({ name }) =>
    `usr/local/share/gilly/setup/${name}`
  );
  assertEquals(
    await bench.paths(),
    [
      "etc/gilly/config.yaml",
      `${WANTS}/gilly-this-host.service`,
      `${WANTS}/gilly.service`,
      "usr/local/bin/gilly",
      "usr/local/bin/gilly-credentials",
      "usr/local/bin/gilly-redirect",
      "usr/local/bin/gilly-setup",
      `${UNITS}/gilly-proxy.service`,
      `${UNITS}/gilly-redirect.service`,
      `${UNITS}/gilly-renew.path`,
      `${UNITS}/gilly-renew.service`,
      `${UNITS}/gilly-this-host.service`,
      UNIT,
      "usr/local/share/bash-completion/completions/gilly",
      "usr/local/share/gilly/config.example.yaml",
      "usr/local/share/gilly/credentials.md",
      ...parts,
      "usr/local/share/fish/vendor_completions.d/gilly.fish",
      "usr/local/share/man/man8/gilly-credentials.8",
      "usr/local/share/man/man8/gilly-redirect.8",
      "usr/local/share/man/man8/gilly-setup.8",
      "usr/local/share/man/man8/gilly.8",
      "usr/local/share/zsh/site-functions/_gilly",
    ].sort(),
  );
  const mode = (path: string) => (Deno.statSync(`${bench.root}/${path}`).mode! & 0o7777).toString(8);
  assertEquals(mode("etc/gilly"), "750");
  assertEquals(mode("etc/gilly/config.yaml"), "640");
  assertEquals(mode("usr/local/bin/gilly"), "755");
  assertEquals(mode("usr/local/bin/gilly-credentials"), "755");
  const group = Number(/^gilly:x:(\d+):/m.exec(bench.read("etc/group"))![1]);
  const { uid, gid } = Deno.statSync(`${bench.root}/etc/gilly/config.yaml`);
  assertEquals({ uid, gid }, { uid: 0, gid: group });
  assertMatch(bench.read("etc/passwd"), /^gilly:x:\d+:\d+:Gilly image repair:\/nonexistent:\/usr\/sbin\/nologin$/m);
  assertEquals(Deno.readLinkSync(`${bench.root}/${WANTS}/gilly.service`), `/${UNIT}`);
  assertEquals(bench.read("etc/gilly/config.yaml"), bench.read("usr/local/share/gilly/config.example.yaml"));
});

for (const shell of [["dash"], ["bash", "--posix"], ["busybox", "sh"]]) {
  Deno.test({
    name: `a second run changes nothing, with any sh (${shell.join(" ")})`,
    ignore: missing.length > 0 || !has(shell[0]!),
    async fn() {
      await using bench = new Bench();
      const args = ["--root", bench.root, "--mirror", "gcr.io=mirror.example"];
      const first = await bench.run(args, shell);
      assertEquals({ code: first.code, err: first.err }, { code: 0, err: "" });
      const before = await bench.snapshot();
      const second = await bench.run(args, shell);
      assertEquals(second.code, 0);
      assertStringIncludes(second.out, "gilly 0.1.0 is installed already, nothing to do");
      assertEquals(await bench.snapshot(), before);
    },
  });
}

test("an upgrade renames the new binary into place and leaves an edited config alone", async (bench) => {
  await bench.install();
  bench.write("etc/gilly/config.yaml", "mine: yes\n");
  const old = Deno.openSync(`${bench.root}/usr/local/bin/gilly`);
  bench.makeBinary("0.2.0");
  const out = await bench.install();
  assertMatch(out, /^installed \/usr\/local\/bin\/gilly\ngilly 0\.2\.0 is installed and enabled/);
  assertStringIncludes(bench.read("usr/local/bin/gilly"), "0.2.0");
  const running = new TextDecoder().decode(await new Response(old.readable).bytes());
  assertStringIncludes(running, "0.1.0", "the program that runs keeps its own file");
  assertEquals(bench.read("etc/gilly/config.yaml"), "mine: yes\n");
  assert(!(await bench.paths()).some((path) => /\.\d{2,}$|\.new$/.test(path)), "nothing is left over");
});

test("a changed example is put next to the config, once", async (bench) => {
  await bench.install("--mirror", "gcr.io=mirror.example");
  const config = bench.read("etc/gilly/config.yaml");
  const example = `${bench.release}/systemd/config.example.yaml`;
  Deno.writeTextFileSync(example, `${Deno.readTextFileSync(example)}# new: key\n`);
  assertStringIncludes(await bench.install(), "config.yaml.new");
  assertEquals(bench.read("etc/gilly/config.yaml"), config);
  assertStringIncludes(bench.read("etc/gilly/config.yaml.new"), "# new: key");
  assertStringIncludes(await bench.install(), "nothing to do");
});

test("flags write a config that Gilly accepts, and leave an edited one alone", async (bench) => {
  const url = "https://worker-1.example:10250";
  await bench.install(
    ...["--kubelet-url", url, "--mirror", "gcr.io=mirror.example", "--mirror", "quay.io=a.example/quay,[::1]:5000"],
    ...["--mirror", "*.pkg.dev=harbor.example/proxy/{registry}"],
  );
  const config = parseConfig(bench.read("etc/gilly/config.yaml"), "/etc/gilly/config.yaml");
  assertEquals(config.kubelet.url, url);
  assertEquals(config.registries.map(({ origin, mirrors }) => ({ origin, mirrors })), [
    { origin: "gcr.io", mirrors: ["mirror.example"] },
    { origin: "quay.io", mirrors: ["a.example/quay", "[::1]:5000"] },
    { origin: "*.pkg.dev", mirrors: ["harbor.example/proxy/{registry}"] },
  ]);
  bench.write("etc/gilly/config.yaml", `${bench.read("etc/gilly/config.yaml")}# mine\n`);
  const before = await bench.snapshot();
  const out = await bench.install("--mirror", "quay.io=other.example");
  assertMatch(
    out,
    /^kept \S+config\.yaml, which has been edited: --mirror, --kubelet-\* and --proxy-host had no effect, edit its reg/m,
  );
  assertEquals(await bench.snapshot(), before);
});

test("the example itself is a valid config", async (bench) => {
  await bench.install();
  const config = parseConfig(bench.read("etc/gilly/config.yaml"), "/etc/gilly/config.yaml");
  assertEquals(config.kubelet.certFile, "/etc/gilly/kubelet-client.crt");
});

test("on a kubeadm control plane the new config uses its certificates, loaded by systemd", async (bench) => {
  const authority = makeAuthority("kubernetes");
  const client = authority.issueClient({ commonName: "kube-apiserver-kubelet-client" });
  bench.write("etc/kubernetes/pki/ca.crt", authority.certificatePem);
  bench.write("etc/kubernetes/pki/apiserver-kubelet-client.crt", client.certificatePem);
  bench.write("etc/kubernetes/pki/apiserver-kubelet-client.key", client.keyPem);
  bench.write("var/lib/kubelet/pki/kubelet.crt", authority.certificatePem);
  const out = await bench.install("--mirror", "gcr.io=mirror.example");
  assertStringIncludes(out, "found kubeadm's certificate for this kubelet");
  assertStringIncludes(
    bench.read(`${DROP_INS}/20-kubelet-credentials.conf`),
    [
      "[Service]",
      "LoadCredential=kubelet-ca.crt:/var/lib/kubelet/pki/kubelet.crt",
      "LoadCredential=kubelet-client.crt:/etc/kubernetes/pki/apiserver-kubelet-client.crt",
      "LoadCredential=kubelet-client.key:/etc/kubernetes/pki/apiserver-kubelet-client.key",
    ].join("\n"),
  );
  const { kubelet } = parseConfig(bench.read("etc/gilly/config.yaml"), "/etc/gilly/config.yaml");
  assertEquals(kubelet.certFile, "/run/credentials/gilly.service/kubelet-client.crt");
  assertEquals(kubelet.keyFile, "/run/credentials/gilly.service/kubelet-client.key");
  assertEquals(kubelet.caFile, "/run/credentials/gilly.service/kubelet-ca.crt");
});

const RENEWAL = [
  "etc/systemd/system/gilly-renew.path.d/20-kubelet-credentials.conf",
  "etc/systemd/system/gilly.service.wants/gilly-renew.path",
];

/** What turns the watch on. */
async function renewal(bench: Bench): Promise<string[]> {
  return (await bench.paths()).filter((path) => path.startsWith("etc/") && path.includes("gilly-renew"));
}

test("all files that systemd loads as credentials are watched, and no others", async (bench) => {
  for (const path of ["secrets/client.crt", "secrets/client.key"]) bench.write(path, "PEM");
  await bench.install("--kubelet-cert", "/secrets/client.crt", "--kubelet-key", "/secrets/client.key");
  assertEquals(await renewal(bench), RENEWAL);
  const watched = () => bench.read(RENEWAL[0]!).match(/^Path.*$/gm);
  assertEquals(watched(), ["PathChanged=/secrets/client.crt", "PathChanged=/secrets/client.key"]);
  assertEquals(Deno.readLinkSync(`${bench.root}/${RENEWAL[1]}`), `/${UNITS}/gilly-renew.path`);

  const loans = `${DROP_INS}/20-kubelet-credentials.conf`;
  bench.write(loans, `${bench.read(loans)}LoadCredential=kubelet-ca.crt:/secrets/ca.crt\n`);
  assertStringIncludes(await bench.install(), `installed /${RENEWAL[0]}`);
  assertEquals(watched()?.[0], "PathChanged=/secrets/ca.crt");
  assertStringIncludes(await bench.install(), "nothing to do");

  await Deno.remove(`${bench.root}/${RENEWAL[1]}`);
  assertStringIncludes(await bench.install(), "enabled gilly-renew.path");
  await Deno.remove(`${bench.root}/${loans}`);
  assertStringIncludes(await bench.install(), `removed /${RENEWAL[1]}`);
  assertEquals(await renewal(bench), []);
});

test("for a file behind a symbolic link, the folder of the link is watched too", async (bench) => {
  bench.write("secrets/2026/client.crt", "PEM");
  bench.write("secrets/2026/client.key", "PEM");
  Deno.symlinkSync("2026/client.crt", `${bench.root}/secrets/client.crt`);
  Deno.symlinkSync("2026", `${bench.root}/secrets/current`);
  await bench.install("--kubelet-cert", "/secrets/client.crt", "--kubelet-key", "/secrets/current/client.key");
  assertEquals(bench.read(RENEWAL[0]!).match(/^Path.*$/gm), [
    "PathChanged=/secrets",
    "PathChanged=/secrets/client.crt",
    "PathChanged=/secrets/current/client.key",
  ]);
});

test("uninstalling removes the watch, and a later installation restores it", async (bench) => {
  for (const path of ["secrets/client.crt", "secrets/client.key"]) bench.write(path, "PEM");
  await bench.install("--kubelet-cert", "/secrets/client.crt", "--kubelet-key", "/secrets/client.key");
  await bench.install("--uninstall");
  assertEquals((await bench.paths()).filter((path) => path.includes("gilly-renew")), []);
  await bench.install();
  assertEquals(await renewal(bench), RENEWAL);
  await Deno.remove(`${bench.root}/secrets`, { recursive: true });
  await bench.install("--purge");
  assertEquals(await bench.paths(), []);
  assertEquals(Deno.statSync(`${bench.root}/usr/local/`).isDirectory, true);
  assertEquals([...Deno.readDirSync(`${bench.root}/etc/systemd/system`)].map(({ name }) => name), [
    "multi-user.target.wants",
  ]);
});

test("a kubelet certificate that the cluster signed is verified with the cluster's CA", async (bench) => {
  const authority = makeAuthority("kubernetes");
  const client = authority.issueClient({ commonName: "kube-apiserver-kubelet-client" });
  bench.write("etc/kubernetes/pki/ca.crt", authority.certificatePem);
  bench.write("etc/kubernetes/pki/apiserver-kubelet-client.crt", client.certificatePem);
  bench.write("etc/kubernetes/pki/apiserver-kubelet-client.key", client.keyPem);
  bench.write("var/lib/kubelet/pki/kubelet.crt", "left from before the bootstrap");
  bench.write("var/lib/kubelet/pki/kubelet-server-current.pem", authority.certificatePem);
  await bench.install();
  assertStringIncludes(
    bench.read(`${DROP_INS}/20-kubelet-credentials.conf`),
    "kubelet-ca.crt:/etc/kubernetes/pki/ca.crt",
  );
});

test("a kubeadm certificate and key that do not match are not used", async (bench) => {
  const authority = makeAuthority("kubernetes");
  const [one, other] = ["a", "b"].map((commonName) => authority.issueClient({ commonName }));
  bench.write("etc/kubernetes/pki/apiserver-kubelet-client.crt", one!.certificatePem);
  bench.write("etc/kubernetes/pki/apiserver-kubelet-client.key", other!.keyPem);
  await bench.install("--mirror", "gcr.io=mirror.example");
  assertEquals((await bench.paths()).filter((path) => path.includes("20-")), []);
});

test("on a plain worker it says that the kubelet refuses the worker's certificate, and what to use", async (bench) => {
  bench.write("var/lib/kubelet/pki/kubelet-client-current.pem", "-----BEGIN CERTIFICATE-----\n");
  assertMatch(
    await bench.install(),
    /^this worker's own certificate is refused by its kubelet \(403\): get Gilly one with gilly-credentials, .* token/m,
  );
});

test("certificates under /etc/gilly are named directly, others are loaded by systemd", async (bench) => {
  for (const path of ["etc/gilly/client.crt", "secrets/client.key"]) bench.write(path, "PEM");
  await bench.install("--kubelet-cert", "/etc/gilly/client.crt", "--kubelet-key", "/secrets/client.key");
  const { kubelet } = parseConfig(
    `${bench.read("etc/gilly/config.yaml")}  gcr.io: mirror.example\n`,
    "/etc/gilly/config.yaml",
  );
  assertEquals(kubelet.certFile, "/etc/gilly/client.crt");
  assertEquals(kubelet.keyFile, "/run/credentials/gilly.service/kubelet-client.key");
  const dropIn = bench.read(`${DROP_INS}/20-kubelet-credentials.conf`);
  assertEquals(dropIn.match(/^LoadCredential=.*$/gm), ["LoadCredential=kubelet-client.key:/secrets/client.key"]);
});

test("uninstalling keeps config and ledger, purging removes them and the user; both can be repeated", async (bench) => {
  await bench.install("--mirror", "gcr.io=mirror.example");
  bench.write("var/lib/gilly/ledger.jsonl", "{}\n");
  assertStringIncludes(await bench.install("--uninstall"), "kept /etc/gilly /var/lib/gilly");
  assertEquals(await bench.paths(), ["etc/gilly/config.yaml", "var/lib/gilly/ledger.jsonl"]);
  assertStringIncludes(await bench.install("--uninstall"), "Gilly is not installed, nothing to do");
  await bench.install("--purge");
  assertEquals(await bench.paths(), []);
  assertEquals(bench.read("etc/passwd") + bench.read("etc/group"), "");
  assertEquals(await bench.install("--purge"), "Gilly is not installed, nothing to do");
});

test("purging leaves a user gilly alone that install.sh did not make", async (bench) => {
  const account = "gilly:x:250:250:made by Puppet:/nonexistent:/usr/sbin/nologin\n";
  bench.write("etc/passwd", account);
  bench.write("etc/group", "gilly:x:250:\n");
  await bench.install();
  await bench.install("--purge");
  assertEquals(bench.read("etc/passwd"), account);
});

test("from a checkout it compiles first", async (bench) => {
  Deno.renameSync(`${bench.release}/gilly`, `${bench.release}/made`);
  Deno.writeTextFileSync(`${bench.release}/deno.json`, "{}");
  const denow = '#!/bin/sh\n[ "$*" = "task compile" ] && mkdir dist && mv made dist/gilly\n';
  Deno.writeTextFileSync(`${bench.release}/denow`, denow, { mode: 0o755 });
  assertStringIncludes(await bench.install(), "compiling ");
  assertStringIncludes(bench.read("usr/local/bin/gilly"), "0.1.0");
});

test("the help fits a terminal of 80 columns", async (bench) => {
  const { code, out } = await bench.run(["--help"]);
  assertEquals(code, 0);
  assertEquals(out.split("\n").filter((line) => line.length > 80), []);
});

/** Turns the release into a checkout whose compile task is this line of sh. */
function makeCheckout(bench: Bench, compile: string): void {
  Deno.removeSync(`${bench.release}/gilly`);
  Deno.writeTextFileSync(`${bench.release}/deno.json`, "{}");
  Deno.writeTextFileSync(`${bench.release}/denow`, `#!/bin/sh\nset -eu\nmkdir dist\n${compile}\n`, { mode: 0o755 });
}

test("in a checkout the invoking user compiles, with their own home, and not root", async (bench) => {
  makeCheckout(
    bench,
    `printf '#!/bin/sh\\necho "gilly of %s in %s"\\n' "$(id -un)" "$HOME" >dist/gilly; chmod +x dist/gilly`,
  );
  const { uid, gid } = accountOf("nobody");
  Deno.chmodSync(`${bench.release}/..`, 0o755);
  Deno.chownSync(bench.release, uid, gid);
  const { code, out, err } = await bench.run(["--root", bench.root], ["env", "SUDO_USER=nobody", "sh"]);
  assertEquals({ code, err }, { code: 0, err: "" });
  assertMatch(out, /^compiling \S+\/dist\/gilly as nobody$/m);
  assertMatch(bench.read("usr/local/bin/gilly"), /gilly of nobody in \/nonexistent/);
  assertEquals(Deno.statSync(`${bench.root}/usr/local/bin/gilly`).uid, 0);
});

test("the test substitute for the binary is never installed", async (bench) => {
  makeCheckout(bench, "cp stand-in dist/gilly");
  await writeStandIn(`${bench.release}/stand-in`);
  const { code, err } = await bench.run(["--root", bench.root]);
  assertEquals(code, 1);
  assertMatch(err, /^install\.sh: \S+\/dist\/gilly is a test substitute for the binary: run '.*' with DENORT_BIN set$/);
  assertEquals(await bench.paths(), []);
});

function accountOf(name: string): { readonly uid: number; readonly gid: number } {
  const [, , uid, gid] = Deno.readTextFileSync("/etc/passwd").split("\n").map((line) => line.split(":"))
    .find((fields) => fields[0] === name)!;
  return { uid: Number(uid), gid: Number(gid) };
}

Deno.test({
  name: "shellcheck finds nothing in install.sh and gilly-setup, with their parts",
  ignore: !has("shellcheck"),
  async fn() {
    const args = ["-x", "-a", `${PROJECT}install.sh`, `${PROJECT}systemd/gilly-setup`];
    const { code, stdout } = await new Deno.Command("shellcheck", { args }).output();
    assertEquals({ code, found: new TextDecoder().decode(stdout) }, { code: 0, found: "" });
  },
});
