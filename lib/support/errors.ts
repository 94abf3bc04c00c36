// How failures look everywhere: an error says what was attempted, on what, and carries its cause.
// This module only describes them; main.ts is the one place that prints one and picks the exit code.

/**
 * Exit codes of the program. 78 is EX_CONFIG of sysexits.h; the unit does not restart into it. 141 is 128 + SIGPIPE, as a
 * shell sees every command whose reader went away.
 */
export const EXIT = { ok: 0, failure: 1, usage: 2, config: 78, readerGone: 141 } as const;

/** How an error says that a file is there and this user may not read it; `check` looks for it, to say who may. */
export const DENIED = "cannot be read: permission denied";

/** A mistake on the command line; the message ends in what to type instead. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** Whoever read standard output went away, as `head` does when it has its lines: no failure, and nobody to tell. */
export class ReaderGoneError extends Error {
  override name = "ReaderGoneError";
}

/** Everything an error and its causes say, outermost first, on one line: `a: b: c`. Repeated texts appear once. */
export function describeError(error: unknown): string {
  const parts: string[] = [];
  for (let cause = error, depth = 0; cause !== undefined && cause !== null && depth < 8; depth++) {
    const text = (cause instanceof Error ? cause.message : String(cause)).trim().replace(/\s*[\r\n]+\s*/g, "; ");
    if (text !== "" && !parts.some((part) => part.includes(text))) parts.push(text);
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return parts.join(": ") || "unknown error";
}
