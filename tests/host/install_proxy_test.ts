// install.sh --proxy into a tree; proxy_booted_test.ts has it on a running host.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { parseConfig } from "../../lib/config/config.ts";
import { test } from "../support/install_bench.ts";

const WANTS = "etc/systemd/system/multi-user.target.wants";
const PARTS = [
  `${WANTS}/gilly-proxy.service`,
  "etc/systemd/system/gilly-proxy.service.wants/gilly-redirect.service",
];

test("without --proxy it is off; with it, it is on and stays so in all that follows", async (bench) => {
  await bench.install("--mirror", "gcr.io=mirror.example");
  const without = await bench.paths();
  assertEquals(without.filter((path) => /^etc\/.*(proxy|redirect)/.test(path)), []);
  await bench.install("--proxy");
  assertEquals((await bench.paths()).filter((path) => !without.includes(path)), [...PARTS].sort());
  bench.makeBinary("0.2.0");
  assertMatch(await bench.install(), /^gilly 0\.2\.0 is installed and enabled/m);
  for (const part of PARTS) assert((await bench.paths()).includes(part), part);
  await bench.install("--no-proxy");
  assertEquals(await bench.paths(), without);
});

test("both accounts can read the config: gilly is a member of the other's group", async (bench) => {
  await bench.install("--proxy");
  const group = Number(/^gilly-proxy:x:(\d+):gilly$/m.exec(bench.read("etc/group"))![1]);
  for (const path of ["etc/gilly", "etc/gilly/config.yaml"]) {
    assertEquals(Deno.statSync(`${bench.root}/${path}`).gid, group, path);
  }
  await bench.install("--no-proxy");
  const own = Number(/^gilly:x:(\d+):/m.exec(bench.read("etc/group"))![1]);
  assertEquals(Deno.statSync(`${bench.root}/etc/gilly/config.yaml`).gid, own);
});

test("--proxy-host is written into the config, and kept when other flags follow", async (bench) => {
  await bench.install(
    "--mirror",
    "gcr.io=mirror.example",
    "--mirror",
    "quay.io=mirror.example",
    "--proxy-host",
    "gcr.io",
  );
  const hosts = () => parseConfig(bench.read("etc/gilly/config.yaml"), "config.yaml").proxy.hosts;
  assertEquals(hosts(), ["gcr.io"]);
  await bench.install("--kubelet-url", "https://worker:10250");
  assertEquals(hosts(), ["gcr.io"]);
  await bench.install("--proxy-host", "gcr.io", "--proxy-host", "quay.io");
  assertEquals(hosts(), ["gcr.io", "quay.io"]);
});

test("a host that is none, and flags that exclude each other, are refused before anything is changed", async (bench) => {
  for (
    const [args, reason] of [
      [["--proxy-host", "https://gcr.io"], /--proxy-host expects the host of a registry, such as gcr\.io, got 'https:/],
      [["--proxy-host", "gcr.io", "--no-proxy"], /--no-proxy and --proxy-host exclude each other$/],
    ] as const
  ) {
    const { code, out, err } = await bench.run(["--root", bench.root, ...args]);
    assertEquals([code, out], [1, ""]);
    assertMatch(err, reason);
  }
  assertEquals(await bench.paths(), []);
});

test("--prefix moves the helper and the paths in the units", async (bench) => {
  await bench.install("--prefix", "/opt/gilly", "--proxy");
  for (const name of ["gilly-proxy", "gilly-redirect"]) {
    const unit = bench.read(`etc/systemd/system/${name}.service`);
    assertEquals(/\/usr\/local/.test(unit), false, unit);
    assertMatch(unit, /^Exec\w+=\+?\/opt\/gilly\/bin\/gilly/m);
  }
});

test("a purge takes both accounts", async (bench) => {
  await bench.install("--proxy");
  await bench.install("--purge");
  assertEquals(await bench.paths(), []);
  assertEquals(/gilly/.test(bench.read("etc/passwd") + bench.read("etc/group")), false);
});
