// Checks tests/run.ts: every test is in one group, what starts a kubelet in one of two, and a
// group that fails or hangs fails the run.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { PROJECT } from "../../tools/deno.ts";
import { ALONE, filesOf, type Group, Runner, testFiles, TOGETHER } from "../run.ts";
import { inTemporaryFolder } from "../support/folder.ts";

const ALL = [...TOGETHER, ...ALONE];

Deno.test("every test file is in exactly one group, and every path of a group leads to some", () => {
  assertEquals(ALL.flatMap((group) => filesOf(group, ALL)).sort(), testFiles("tests/").sort());
  const paths = ALL.flatMap((group) => group.paths);
  assertEquals(paths.filter((path) => !testFiles("tests/").some((file) => file.startsWith(path))), []);
});

Deno.test("every test that starts a kubelet is in one of two groups, or runs beside no other group", () => {
  const allowed = ["workers", "mirrors", ...ALONE.map(({ name }) => name)];
  const starters = testFiles("tests/").filter((file) =>
    /\b(startWorker|withWorker|Stage\.\w+|triedForReal)[(<]/.test(Deno.readTextFileSync(PROJECT + file))
  );
  assert(starters.length > 5, starters.join());
  const here = ALL.filter(({ name }) => allowed.includes(name)).flatMap((group) => filesOf(group, ALL));
  assertEquals(starters.filter((file) => !here.includes(file)), []);
});

const HANGS = 'Deno.test("waits for ever", () => new Promise(() => setInterval(() => {}, 1000)));';

/**
 * Runs groups of one file each, whose texts these are; returns the failed groups and what was
 * printed. `stop` stops the runner after the first line.
 */
async function runFiles(
  texts: Readonly<Record<string, string>>,
  { limitSeconds, stop = false, atOnce = 2 }: {
    readonly limitSeconds?: number;
    readonly stop?: boolean;
    readonly atOnce?: number;
  } = {},
): Promise<{ failed: readonly string[]; printed: string }> {
  return await inTemporaryFolder(async (folder) => {
    const groups = Object.entries(texts).map(([name, text]): Group => {
      Deno.writeTextFileSync(`${folder}/${name}_test.ts`, text);
      return { name, paths: [`${folder}/${name}_test.ts`] };
    });
    const printed: string[] = [];
    const print = (text: string) => {
      if (stop && printed.length === 0) queueMicrotask(() => runner.stop("SIGTERM"));
      printed.push(text);
    };
    const runner = new Runner(groups, { folder, print, limitSeconds });
    await runner.run(groups, atOnce);
    return { failed: runner.failed, printed: printed.join("\n") };
  });
}

Deno.test("a group that fails fails the run, the others still run, and each one's output is in one piece", async () => {
  const { failed, printed } = await runFiles({
    bad: 'Deno.test("bad", () => { throw new Error("on purpose"); });',
    good: 'Deno.test("good", () => {});',
    better: 'Deno.test("better", () => {});',
  });
  assertEquals(failed, ["bad"]);
  const pieceOf = (name: string) => new RegExp(`^-- ${name}\n([^]*?)^-- ${name}: `, "m").exec(printed)?.[1] ?? "";
  assertMatch(pieceOf("good"), /^good \.\.\. ok .*\n\nok \| 1 passed \| 0 failed .*\n$/m);
  assertMatch(pieceOf("better"), /^better \.\.\. ok .*\n\nok \| 1 passed \| 0 failed .*\n$/m);
  assertMatch(pieceOf("bad"), /on purpose[^]*\nFAILED \| 0 passed \| 1 failed /);
  for (const name of ["good", "better"]) assert(!pieceOf(name).includes("-- "), pieceOf(name));
  assertEquals(printed.match(/^-- \w+: (?:ok|FAILED), \d+ s$/gm)?.length, 3);
});

Deno.test("a group that hangs is ended, and its last test named", async () => {
  const { failed, printed } = await runFiles({ hangs: HANGS }, { limitSeconds: 3 });
  assertEquals(failed, ["hangs"]);
  assertMatch(printed, /waits for ever[^]*-- hangs: FAILED, not done after 3 s$/m);
});

Deno.test("a stopped run ends what runs, and starts nothing more", async () => {
  const { failed, printed } = await runFiles({ hangs: HANGS, next: HANGS }, { stop: true, atOnce: 1 });
  assertEquals(failed, ["hangs", "next"]);
  assertMatch(printed, /-- hangs: FAILED, \d+ s$/m);
  assert(!printed.includes("next"), printed);
});
