// A test whose claim stands in the table of tests/README.md. Run under `deno task faults` it also notes how it went.

import { testIfPossible } from "../support/requirements.ts";
import type { TriedRow } from "./table.ts";

/** What a test tries; see TriedRow. */
export type Claim = Pick<TriedRow, "subject" | "what" | "means" | "holds">;

/** Names the file to which rows are appended, one in JSON a line. */
export const ROWS_FILE = "GILLY_TRIED_ROWS";

/** Registers a test for the claim; it is ignored, or fails under GILLY_E2E=require, while something is `missing`. */
export function tried(claim: Claim, fn: () => Promise<void>, missing: readonly string[] = []): void {
  if (missing.length > 0) note({ ...claim, result: "not run", seconds: 0 });
  testIfPossible(`${claim.subject}, ${claim.what}: ${claim.holds}`, missing, async () => {
    const start = performance.now();
    let result: TriedRow["result"] = "failed";
    try {
      await fn();
      result = "passed";
    } finally {
      note({ ...claim, result, seconds: (performance.now() - start) / 1000 });
    }
  });
}

/** Adds a row to those of the run, if it keeps any. */
export function note(row: TriedRow): void {
  const file = Deno.env.get(ROWS_FILE);
  if (file) Deno.writeTextFileSync(file, `${JSON.stringify(row)}\n`, { append: true });
}
