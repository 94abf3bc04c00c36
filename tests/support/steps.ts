// Steps of one test, of which the later ones run even if an earlier one failed.

/** Runs a step; see stepsOf. */
export type Step<Subjects extends readonly unknown[]> = (
  name: string,
  fn: (...subjects: Subjects) => void | Promise<void>,
) => Promise<void>;

/** Returns what runs steps of `t` with these subjects, and the names of those that have failed so far. */
export function stepsOf<Subjects extends readonly unknown[]>(
  t: Deno.TestContext,
  ...subjects: Subjects
): { readonly step: Step<Subjects>; readonly failed: readonly string[] } {
  const failed: string[] = [];
  const step: Step<Subjects> = async (name, fn) => {
    if (!await t.step(name, async () => await fn(...subjects))) failed.push(name);
  };
  return { step, failed };
}
