// What install.sh makes of --mirror and --kubelet-*: a config that Gilly accepts or none, rewritten
// as long as no one has edited it. The binary of the release is the program itself.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { parseConfig } from "../../lib/config/config.ts";
import { type Bench, test } from "../support/install_bench.ts";

const FILE = "etc/gilly/config.yaml";
const LOANS = "etc/systemd/system/gilly.service.d/20-kubelet-credentials.conf";

function configOf(bench: Bench) {
  return parseConfig(bench.read(FILE), `/${FILE}`);
}

for (
  const [mirror, expected] of [
    [
      "gcr.io=https://m.example",
      'registries."gcr.io"[0]: "https://m.example" is not a valid mirror: leave out https://',
    ],
    ["*=m", 'registries."*"[0]: "m" is not a valid mirror: '],
    ["gcr.io=m.example/", 'registries."gcr.io"[0]: "m.example/" is not a valid mirror: '],
    ["gcr.io/=m.example", 'registries."gcr.io/": is not a valid origin: '],
  ] as const
) {
  test(`--mirror ${mirror} is refused with Gilly's own message, and nothing is installed`, async (bench) => {
    bench.makeRealBinary();
    const { code, out, err } = await bench.run(["--root", bench.root, "--mirror", mirror]);
    assertEquals({ code, out }, { code: 1, out: "" });
    assertEquals(err.split("\n").length, 1, err);
    assertStringIncludes(err, `install.sh: the flags make a config that Gilly refuses: ${expected}`);
    assertEquals(await bench.paths(), []);
  });
}

test("an invalid kubelet port is refused even if no mirror is named yet", async (bench) => {
  bench.makeRealBinary();
  const { code, err } = await bench.run(["--root", bench.root, "--kubelet-url", "https://w:99999"]);
  assertEquals(code, 1);
  assertMatch(err, /refuses: kubelet\.url: .*no valid port/);
  assertEquals(await bench.paths(), []);
});

test("an unedited config is rewritten and keeps what the new flags leave out", async (bench) => {
  bench.makeRealBinary();
  for (const path of ["secrets/ca.crt", "secrets/client.crt", "secrets/client.key"]) bench.write(path, "PEM");
  await bench.install("--mirror", "gcr.io=a.example");
  assertEquals(configOf(bench).kubelet.url, `https://${Deno.hostname().toLowerCase()}:10250`);
  assertStringIncludes(bench.read(FILE), 'url: "https://{hostname}:10250"');
  await bench.install(
    ...["--kubelet-ca", "/secrets/ca.crt", "--kubelet-cert", "/secrets/client.crt"],
    ...["--kubelet-key", "/secrets/client.key", "--kubelet-url", "https://w.example:10250"],
  );
  const out = await bench.install("--mirror", "quay.io=b.example,c.example/quay");
  assertMatch(out, /^installed \/etc\/gilly\/config\.yaml$/m);
  const { kubelet, registries } = configOf(bench);
  assertEquals(kubelet, {
    url: "https://w.example:10250",
    caFile: "/run/credentials/gilly.service/kubelet-ca.crt",
    certFile: "/run/credentials/gilly.service/kubelet-client.crt",
    keyFile: "/run/credentials/gilly.service/kubelet-client.key",
  });
  assertEquals(registries.map(({ origin, mirrors }) => [origin, mirrors]), [["quay.io", [
    "b.example",
    "c.example/quay",
  ]]]);
  assertEquals(bench.read(LOANS).match(/^LoadCredential=.*$/gm), [
    "LoadCredential=kubelet-ca.crt:/secrets/ca.crt",
    "LoadCredential=kubelet-client.crt:/secrets/client.crt",
    "LoadCredential=kubelet-client.key:/secrets/client.key",
  ]);
  const before = await bench.snapshot();
  assertStringIncludes(await bench.install("--mirror", "quay.io=b.example,c.example/quay"), "nothing to do");
  assertEquals(await bench.snapshot(), before);
});

test("flags replace an unedited example", async (bench) => {
  bench.makeRealBinary();
  await bench.install();
  await bench.install("--mirror", "gcr.io=a.example");
  assertEquals(configOf(bench).registries.map(({ origin, mirrors }) => [origin, mirrors]), [["gcr.io", ["a.example"]]]);
});

test("a config with a mistake is refused before an upgrade changes anything", async (bench) => {
  bench.makeRealBinary();
  await bench.install("--mirror", "gcr.io=a.example");
  bench.write(FILE, `${bench.read(FILE)}pol: {interval: 1s}\n`);
  bench.write("usr/local/bin/gilly", "an older one");
  const before = await bench.snapshot();
  const { code, err } = await bench.run(["--root", bench.root]);
  assertEquals(code, 1);
  assertMatch(
    err,
    /^install\.sh: gilly \S+.* refuses the config, so nothing was changed: \S+config\.yaml:\d+: pol: .*poll/,
  );
  assertEquals(await bench.snapshot(), before);
});

test("a config that still lacks its mirrors is accepted on a second run", async (bench) => {
  bench.makeRealBinary();
  await bench.install("--kubelet-url", "https://w.example:10250");
  assertStringIncludes(await bench.install(), "nothing to do");
});
