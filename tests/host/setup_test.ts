// gilly-setup in a tree: after install.sh, and where a package has put the program.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { parseConfig } from "../../lib/config/config.ts";
import { PROJECT } from "../../tools/deno.ts";
import { type Bench, test } from "../support/install_bench.ts";
import type { Outcome } from "../support/outcome.ts";

const CONFIG = "etc/gilly/config.yaml";
const DROP_INS = "etc/systemd/system/gilly.service.d";
const unitsOf = (bench: Bench) => `${bench.root}/usr/lib/systemd/system`;
const MIRROR = ["--mirror", "gcr.io=mirror.example"];

/** Runs the gilly-setup that the tree has, on the tree. */
function setUp(bench: Bench, ...args: string[]): Promise<Outcome> {
  const script = `${bench.root}/usr/${bench.has("usr/bin/gilly-setup") ? "" : "local/"}bin/gilly-setup`;
  return bench.run(["--root", bench.root, ...args], ["sh"], { script });
}

async function says(outcome: Promise<Outcome>): Promise<string> {
  const { code, out, err } = await outcome;
  assertEquals({ code, err }, { code: 0, err: "" });
  return out;
}

/** Puts the program into the tree as a package does, below /usr. */
async function unpackPackage(bench: Bench): Promise<void> {
  await bench.install();
  await bench.install("--uninstall");
  for (const path of [CONFIG, "etc/gilly"]) Deno.removeSync(`${bench.root}/${path}`);
  const at = (path: string) => `${bench.root}/usr/${path}`;
  for (const folder of [at("bin"), at("share/gilly/setup"), unitsOf(bench)]) {
    Deno.mkdirSync(folder, { recursive: true });
  }
  const copies = [
    ["gilly", "bin/gilly"],
    ["systemd/gilly-setup", "bin/gilly-setup"],
    ["systemd/config.example.yaml", "share/gilly/config.example.yaml"],
  ];
  for (const { name } of Deno.readDirSync(`${bench.release}/systemd/setup`)) {
    copies.push([`systemd/setup/${name}`, `share/gilly/setup/${name}`]);
  }
  for (const [from, to] of copies) Deno.copyFileSync(`${bench.release}/${from}`, at(to!));
  for (const { name } of Deno.readDirSync(`${bench.release}/systemd`)) {
    if (!/\.(service|path)$/.test(name)) continue;
    const unit = Deno.readTextFileSync(`${bench.release}/systemd/${name}`);
    Deno.writeTextFileSync(`${unitsOf(bench)}/${name}`, unit.replaceAll("/usr/local/", "/usr/"));
  }
  const config = `${PROJECT}systemd/config.package.yaml`;
  Deno.copyFileSync(config, at("share/gilly/config.package.yaml"));
  bench.write(CONFIG, Deno.readTextFileSync(config));
}

test("after install.sh it finds nothing to do, and takes the flags of the config", async (bench) => {
  await bench.install(...MIRROR);
  const before = await bench.snapshot();
  assertEquals(await says(setUp(bench)), "gilly 0.1.0 is set up already, nothing to do");
  assertEquals(await bench.snapshot(), before);
  const out = await says(setUp(bench, "--mirror", "quay.io=other.example"));
  assertMatch(
    out,
    /^installed \/etc\/gilly\/config\.yaml\n.*gilly 0\.1\.0 is set up and ready for the first boot of /s,
  );
  assertStringIncludes(bench.read(CONFIG), '"quay.io": ["other.example"]');
  const after = await bench.snapshot();
  assertMatch(await bench.install(), /nothing to do$/);
  assertEquals(await bench.snapshot(), after);
});

test("--dry-run prints what is then written, and changes nothing", async (bench) => {
  await bench.install(...MIRROR);
  for (const path of ["secrets/client.crt", "secrets/client.key"]) bench.write(path, "PEM");
  bench.write("usr/bin/containerd", "");
  Deno.chmodSync(`${bench.root}/usr/bin/containerd`, 0o755);
  const flags = ["--kubelet-cert", "/secrets/client.crt", "--kubelet-key", "/secrets/client.key", "--proxy"];
  const before = await bench.snapshot();
  const out = await says(setUp(bench, ...flags, "--dry-run"));
  assertEquals(await bench.snapshot(), before);
  assertMatch(out, /^would make the user gilly-proxy$/m);
  assertMatch(out, /^would enable gilly-proxy\.service$/m);
  assertMatch(out, /^would enable gilly-renew\.path$/m);
  assertMatch(out, /^dry run: nothing was changed$/m);
  const told = [...out.matchAll(/^would write \/(\S+):\n((?: {2}.*\n)+)/gm)];
  assertEquals(
    told.map(([, path]) => path).sort(),
    [
      CONFIG,
      "etc/systemd/system/gilly-renew.path.d/20-kubelet-credentials.conf",
      `${DROP_INS}/20-kubelet-credentials.conf`,
      `${DROP_INS}/30-containerd-group.conf`,
      "usr/local/share/gilly/config.written",
    ].sort(),
  );
  await says(setUp(bench, ...flags));
  for (const [, path, text] of told) {
    const written = bench.read(path!).split("\n");
    for (
      const line of text!.trimEnd().split("\n").map((line) => line.slice(2)).filter((line) => !/^(@@|-)/.test(line))
    ) {
      assertEquals(written.includes(line.replace(/^\+/, "")), true, `${path}: ${line}`);
    }
  }
});

test("of a package's config, which names no mirror, it makes one that Gilly accepts", async (bench) => {
  await unpackPackage(bench);
  const usr = await bench.snapshot("usr");
  await says(setUp(bench, ...MIRROR));
  const { registries } = parseConfig(bench.read(CONFIG), `/${CONFIG}`);
  assertEquals(registries.map(({ origin, mirrors }) => [origin, mirrors]), [["gcr.io", ["mirror.example"]]]);
  const before = await bench.snapshot();
  assertMatch(await says(setUp(bench, ...MIRROR)), /nothing to do$/);
  assertEquals(await bench.snapshot(), before);
  assertEquals(await bench.snapshot("usr"), usr, "a package's files are its own");
  await says(setUp(bench, "--mirror", "quay.io=other.example"));
  assertStringIncludes(bench.read(CONFIG), '"quay.io": ["other.example"]');
  bench.write(CONFIG, `${bench.read(CONFIG)}# mine\n`);
  assertMatch(await says(setUp(bench, ...MIRROR)), /^kept \/etc\/gilly\/config\.yaml, which has been edited/m);
});

test("--this-host leaves to the first boot what a tree cannot know, and touches no config", async (bench) => {
  await unpackPackage(bench);
  const config = bench.read(CONFIG);
  assertEquals(await says(setUp(bench, "--this-host")), "enabled gilly-this-host.service");
  assertEquals(bench.read(CONFIG), config);
  assertEquals(await says(setUp(bench, "--this-host")), "");
});

test("install.sh refuses beside a package, before anything is changed", async (bench) => {
  await unpackPackage(bench);
  const before = await bench.snapshot();
  const { code, out, err } = await bench.run(["--root", bench.root]);
  assertEquals({ code, out }, { code: 1, out: "" });
  assertEquals(
    err,
    "install.sh: Gilly is installed here by a package, which its manager upgrades and removes: gilly-setup takes the " +
      "flags that write the config; to use install.sh instead, remove the package first",
  );
  assertEquals(await bench.snapshot(), before);
});

test("without an installation, or with a flag that it does not know, it refuses in one line", async (bench) => {
  const script = `${bench.release}/systemd/gilly-setup`;
  for (
    const [args, expected] of [
      [[], "gilly-setup: gilly.service is not installed: install a package or run install.sh"],
      [["--prefix", "/opt"], "gilly-setup: unknown argument '--prefix': see gilly-setup --help"],
      [["--mirror"], "gilly-setup: --mirror needs a value: see gilly-setup --help"],
    ] as const
  ) {
    const outcome = await bench.run(["--root", bench.root, ...args], ["sh"], { script });
    assertEquals(outcome, { code: 1, out: "", err: expected });
  }
  assertEquals(await bench.paths(), []);
  const help = await bench.run(["--help"], ["sh"], { script });
  assertEquals([help.code, help.out.split("\n").filter((line) => line.length > 80)], [0, []]);
});
