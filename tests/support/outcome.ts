// How a program ended, for tests of what it printed.

/** A program's exit code, and what it wrote without the newlines at the end. */
export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Returns it as text. */
export function outcomeOf({ code, stdout, stderr }: Deno.CommandOutput): Outcome {
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trimEnd();
  return { code, out: text(stdout), err: text(stderr) };
}
