// A test that has a row in the table of tests/README.md. Run under `deno task faults` it also records how it went.

import { testIfPossible } from "../support/requirements.ts";
import type { ScenarioRow } from "./table.ts";

/** What a test does, and what has to hold; see ScenarioRow. */
export type Scenario = Pick<ScenarioRow, "subject" | "what" | "means" | "holds">;

/** Names the file to which rows are appended, one in JSON a line. */
export const ROWS_FILE = "GILLY_SCENARIO_ROWS";

/** Registers a test for the scenario; it is ignored, or fails under GILLY_E2E=require, while something is `missing`. */
export function scenario(wanted: Scenario, fn: () => Promise<void>, missing: readonly string[] = []): void {
  if (missing.length > 0) note({ ...wanted, result: "not run", seconds: 0 });
  testIfPossible(`${wanted.subject}, ${wanted.what}: ${wanted.holds}`, missing, async () => {
    const start = performance.now();
    let result: ScenarioRow["result"] = "failed";
    try {
      await fn();
      result = "passed";
    } finally {
      note({ ...wanted, result, seconds: (performance.now() - start) / 1000 });
    }
  });
}

/** Adds a row to those of the run, if it keeps any. */
export function note(row: ScenarioRow): void {
  const file = Deno.env.get(ROWS_FILE);
  if (file) Deno.writeTextFileSync(file, `${JSON.stringify(row)}\n`, { append: true });
}
