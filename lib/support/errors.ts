// Conventions for errors: an error says what was attempted, on what, and carries its cause. This
// module only describes them; only main.ts prints one and picks the exit code.

/**
 * Exit codes of the program. 78 is EX_CONFIG of sysexits.h; the unit does not restart after it. 141
 * is 128 + SIGPIPE, which a shell reports for a command whose reader closed the pipe.
 */
export const EXIT = { ok: 0, failure: 1, usage: 2, config: 78, readerGone: 141 } as const;

/**
 * Error text for a file that exists but that this user may not read; `check` looks for it to report
 * who may read it.
 */
export const DENIED = "cannot be read: permission denied";

/** Thrown for a mistake on the command line; the message ends with what to type instead. */
export class UsageError extends Error {
  override name = "UsageError";
}

/**
 * Thrown when the reader of standard output closes it, as `head` does when it has its lines. Not a
 * failure, and not reported.
 */
export class ReaderGoneError extends Error {
  override name = "ReaderGoneError";
}

/**
 * Returns the messages of an error and its causes, outermost first, on one line: `a: b: c`.
 * Repeated texts appear once.
 */
export function describeError(error: unknown): string {
  const parts: string[] = [];
  for (let cause = error, depth = 0; cause !== undefined && cause !== null && depth < 8; depth++) {
    const text = (cause instanceof Error ? messageOf(cause) : String(cause)).trim().replace(/\s*[\r\n]+\s*/g, "; ");
    if (text !== "" && !parts.some((part) => part.includes(text))) parts.push(text);
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return parts.join(": ") || "unknown error";
}

/**
 * The binary's permissions are fixed, and no operator can change them: Deno's text, which names flags
 * of its compiler, becomes what Gilly may not do. Reading the kernel's files needs "all access".
 */
function messageOf({ name, message }: Error): string {
  if (name !== "NotCapable") return message;
  const [, access = "", what] = /^Requires (\w+) access to (".*?"(?=,|$)|[^,]+)/.exec(message) ?? [];
  if (what === undefined) return message;
  const verb = access === "write" ? "write to" : access === "all" || access === "read" ? "read" : `use (${access})`;
  return `Gilly may not ${verb} ${what.replace(/^"(.*)"$/, "$1")}`;
}
