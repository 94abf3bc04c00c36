// A test that has a row in a table of tests/README.md. Run by main.ts, it also records its result.

import { testIfPossible } from "../support/requirements.ts";
import type { ScenarioRow } from "./table.ts";

/** What a test does, and what must be true; see ScenarioRow. */
export type Scenario = Pick<ScenarioRow, "subject" | "what" | "means" | "holds">;

/** The environment variable that names the file for the rows, one JSON object per line. */
export const ROWS_FILE = "GILLY_SCENARIO_ROWS";

/**
 * Registers a test for the scenario. If something is `missing`, the test is ignored, or fails with
 * GILLY_E2E=require.
 */
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

/** Appends a row to the file of the run, if there is one. */
export function note(row: ScenarioRow): void {
  const file = Deno.env.get(ROWS_FILE);
  if (file) Deno.writeTextFileSync(file, `${JSON.stringify(row)}\n`, { append: true });
}
