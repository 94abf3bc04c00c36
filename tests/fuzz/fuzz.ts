// Gives a target inputs until its time is up. Each input may cause no error except the module's
// own, and may take at most one second and 64 MB.

import fc from "fast-check";
import type { Target } from "./targets.ts";

/** How long to fuzz, and the seed: the same seed gives the same inputs. */
export interface Budget {
  readonly seconds: number;
  readonly seed: number;
}

/** The result for one target. */
export interface Report {
  readonly target: string;
  readonly inputs: number;
  /** Number of inputs that it refused with its own error. */
  readonly refused: number;
  readonly slowestMs: number;
  readonly mostBytes: number;
}

const LIMIT_MS = 1000;
const LIMIT_BYTES = 64 * 1024 * 1024;

/** Thrown for an input that breaks a rule. The message shows the smallest such input found. */
export class FuzzError extends Error {
  override name = "FuzzError";
}

/** Fuzzes one target. Throws FuzzError at the first input that breaks a rule. */
export async function fuzz(target: Target, { seconds, seed }: Budget): Promise<Report> {
  let [inputs, refused, slowestMs, mostBytes] = [0, 0, 0, 0];
  const property = fc.asyncProperty(target.inputs, async (input) => {
    let cost = await costOf(target, input);
    // Other load on the machine or garbage on the heap may have caused the cost, so measure again.
    if (cost.ms > LIMIT_MS || cost.bytes > LIMIT_BYTES) cost = await costOf(target, input);
    inputs++;
    if (cost.refused) refused++;
    slowestMs = Math.max(slowestMs, cost.ms);
    mostBytes = Math.max(mostBytes, cost.bytes);
    if (cost.ms > LIMIT_MS) throw new Error(`took ${Math.round(cost.ms)} ms`);
    if (cost.bytes > LIMIT_BYTES) throw new Error(`took ${Math.round(cost.bytes / 1e6)} MB`);
  });
  const result = await fc.check(property, {
    seed,
    numRuns: Number.MAX_SAFE_INTEGER,
    interruptAfterTimeLimit: 1000 * seconds,
    markInterruptAsFailure: false,
  });
  if (result.failed) {
    const why = result.errorInstance instanceof Error ? result.errorInstance.message : String(result.errorInstance);
    const shown = fc.stringify(result.counterexample?.[0]);
    const excerpt = shown.length > 2000
      ? `${shown.slice(0, 1000)} … (${shown.length} characters) … ${shown.slice(-1000)}`
      : shown;
    throw new FuzzError(`${target.name}, seed ${seed}: ${why}\n  with ${excerpt}`, { cause: result.errorInstance });
  }
  return { target: target.name, inputs, refused, slowestMs, mostBytes };
}

interface Cost {
  readonly ms: number;
  readonly bytes: number;
  readonly refused: boolean;
}

/** Measures one input. Rethrows what the target throws unless it is the target's own error. */
async function costOf(target: Target, input: unknown): Promise<Cost> {
  const before = heldBytes();
  const start = performance.now();
  let refused = false;
  try {
    await target.run(input);
  } catch (error) {
    if (!target.isOwnError(error)) throw error;
    refused = true;
  }
  return { ms: performance.now() - start, bytes: heldBytes() - before, refused };
}

function heldBytes(): number {
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}
