// Checks docs/compatibility.md: the least versions are those of the code, the versions that ran are
// those that the tests start, and the tests that it names start them.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { NEWEST_API, OLDEST_API } from "../../lib/runtime/docker/request.ts";
import { PROJECT } from "../../tools/deno.ts";
import { FILES } from "../../tools/files.ts";
import { currentTree, missingForCurrentEngine } from "../e2e/current_engine.ts";
import { missingPrograms } from "../e2e/engine.ts";
import { RUNTIMES } from "../e2e/texts/runtimes.ts";
import { baseTree, missingForHost } from "../host/base_tree.ts";
import { LAST_RELEASE } from "../support/last_release.ts";
import { readPage } from "../support/pages.ts";
import { GILLY, kubeletBinary, missingForBinary, missingForWorker, testIfPossible } from "../support/requirements.ts";

const PAGE = readPage("docs/compatibility.md");
/** install.sh and what it sources. */
const INSTALLER = FILES.filter((file) => /^install\.sh$|^systemd\/setup\//.test(file)).map(readPage).join("\n");

/** Returns the rows of the table below a heading, without its head. */
function rowsBelow(heading: string): string[][] {
  const [, section = ""] = PAGE.split(`\n## ${heading}\n`);
  const lines = section.split("\n## ")[0]!.split("\n").filter((line) => line.startsWith("|"));
  return lines.slice(2).map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
}

const NEEDED = rowsBelow("What it needs").map(([what, least]) => `${what}: ${least}`);
const RAN = rowsBelow("What ran");

function versionsOf(what: string): string[] {
  return RAN.filter(([name]) => name === what).map(([, version]) => version!);
}

Deno.test("the least versions are those that install.sh and the program ask for", () => {
  const systemds = [...INSTALLER.matchAll(/"\$\{?systemd(?::-0\}|)?" -ge (\d+) \]/g)].map(([, version]) => version);
  assertEquals([...new Set(systemds)], ["239", "247"]);
  for (const version of ["systemd: 239", ": 247", ": 254"]) assert(NEEDED.includes(version), version);
  assertStringIncludes(readPage("systemd/gilly.service"), "systemd before 254 has no steps");
  assertStringIncludes(INSTALLER, "needs glibc 2.27 or later");
  assert(NEEDED.includes("glibc: 2.27"));
  assert(NEEDED.includes(`Docker Engine: 17.06 (API ${OLDEST_API})`));
  assertStringIncludes(PAGE, `up to ${NEWEST_API}.`);
});

testIfPossible("the binary imports no newer symbol of glibc", missingForBinary(), async () => {
  const text = new TextDecoder("latin1").decode(await Deno.readFile(GILLY));
  const versions = [...text.matchAll(/\0GLIBC_2\.(\d+)(?=\0)/g)].map(([, minor]) => Number(minor));
  assertEquals(`2.${Math.max(...versions)}`, "2.27");
});

Deno.test("the runtimes that ran are those whose texts are in the table of the tests", () => {
  const named = (prefix: string) => [
    ...new Set(Object.keys(RUNTIMES).filter((name) => name.startsWith(prefix)).map((name) => name.split("-")[1])),
  ];
  assertEquals(versionsOf("Docker Engine"), named("docker-"));
  assertEquals(versionsOf("containerd"), named("containerd-"));
});

/** What starts each of them, in a test file or in what it imports from its own folder. */
const STARTERS: Readonly<Record<string, RegExp>> = {
  "systemd 252": /\b(bootHost|Stage\.set)\(/,
  "systemd 257": /\bbootHost\(\{ suite: "trixie"/,
  "glibc 2.36": /\b(bootHost|Stage\.set)\(/,
  "glibc 2.41": /\bbootHost\(\{ suite: "trixie"/,
  "Docker Engine 20.10": /\b(withWorker|startEngine|triedForReal|realFixture)\b/,
  "Docker Engine 28": /\b(startCurrentEngine|currentFixture|RUNTIMES)\b/,
  "containerd 1.6": /\b(startCriContainerd|runtime: "containerd")/,
  "containerd 2.1": /\bRUNTIMES\b/,
  "kubelet 1.20": /\b(withWorker|triedForReal|Stage\.set)\b/,
};

Deno.test("the tests that are named start what they are named for", () => {
  assertEquals(RAN.map(([what, version]) => `${what} ${version}`), Object.keys(STARTERS));
  for (const [what, version, , tests = ""] of RAN) {
    for (const file of tests.split(", ").map((name) => name.replaceAll("`", ""))) {
      const starts = STARTERS[`${what} ${version}`]!.test(Deno.readTextFileSync(`${PROJECT}tests/${file}`));
      assert(starts, `tests/${file} does not start ${what} ${version}`);
    }
  }
  assertStringIncludes(readPage("tests/host/versions_test.ts"), "LAST_RELEASE");
  assertStringIncludes(PAGE, `from ${LAST_RELEASE.version} to this version`);
});

const SUITES = ["bookworm", "trixie"] as const;

testIfPossible(
  "the hosts that the tests boot have the systemd and the glibc that ran",
  SUITES.flatMap(missingForHost),
  async () => {
    const texts = await Promise.all(
      SUITES.map(async (suite) => await Deno.readTextFile(`${await baseTree(suite)}/var/lib/dpkg/status`)),
    );
    const versions = (name: string) =>
      texts.map((packages) =>
        new RegExp(`^Package: ${name}\n(?:.+\n)*?Version: ([^.]+(?:\\.\\d+)?)`, "m").exec(packages)?.[1]
      );
    assertEquals(versions("systemd").map((version) => version?.split(".")[0]), versionsOf("systemd"));
    assertEquals(versions("libc6"), versionsOf("glibc"));
  },
);

const missing = [
  ...new Set([...missingForWorker(), ...missingForCurrentEngine(), ...missingPrograms(["containerd"])]),
];

testIfPossible("the runtimes and the kubelet of this machine are those that ran", missing, async () => {
  const tree = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /usr && exec "$@"', await currentTree()];
  const check = async (what: string, at: number, command: readonly string[]) => {
    const [, found = "0"] = /\bv?(\d+\.\d+)\.\d+/.exec(await say(...command)) ?? [];
    const named = versionsOf(what)[at]!;
    // Debian sid moves on; what it has then is newer than the page says, and the page still true.
    const isTrue = command.length > 2 ? Number(found) >= Number(named) : found.startsWith(named);
    assert(isTrue, `${command.join(" ")} is ${found}, and docs/compatibility.md names ${what} ${named}`);
  };
  for (const [what, program] of [["Docker Engine", "dockerd"], ["containerd", "containerd"]] as const) {
    await check(what, 0, [program, "--version"]);
    await check(what, 1, [...tree, program, "--version"]);
  }
  await check("kubelet", 0, [kubeletBinary()!, "--version"]);
});

async function say(...[program, ...args]: string[]): Promise<string> {
  const { stdout } = await new Deno.Command(program!, { args }).output();
  return new TextDecoder().decode(stdout);
}
