// `main.ts SECTION…`: runs the tests of these sections and writes their rows into tests/README.md.
// Fails if any test fails.

import { PROJECT } from "../../tools/deno.ts";
import { type Section, writeSection } from "./page.ts";
import { ROWS_FILE } from "./scenario.ts";
import type { ScenarioRow } from "./table.ts";

/** The sections, and how many test files of each may run at once: faults mostly wait. */
const TESTS: Readonly<Partial<Record<string, { readonly section: Section; readonly jobs: number }>>> = {
  faults: { section: "faults", jobs: 4 },
  load: { section: "load", jobs: 1 },
  security: { section: "security", jobs: 1 },
};

/** Runs the tests of one section and returns whether all passed. */
async function run(name: string): Promise<boolean> {
  const tests = TESTS[name];
  if (tests === undefined) throw new TypeError(`${name} is none of ${Object.keys(TESTS).join(", ")}`);
  const rowsFile = await Deno.makeTempFile({ prefix: "gilly-scenarios-" });
  try {
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: ["test", "--allow-all", ...(tests.jobs > 1 ? ["--parallel"] : []), `tests/${name}/`],
      cwd: PROJECT,
      env: { [ROWS_FILE]: rowsFile, DENO_JOBS: String(tests.jobs) },
      stdin: "null",
      stdout: "inherit",
      stderr: "inherit",
    }).spawn().status;
    const lines = (await Deno.readTextFile(rowsFile)).split("\n").filter((line) => line !== "");
    await writeSection(tests.section, lines.map((line) => JSON.parse(line) as ScenarioRow));
    return success;
  } finally {
    await Deno.remove(rowsFile);
  }
}

let failed = false;
for (const name of Deno.args) failed = !await run(name) || failed;
if (failed) Deno.exit(1);
