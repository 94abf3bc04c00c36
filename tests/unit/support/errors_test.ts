// Tests lib/support/errors.ts: a failure is described completely, on one line.

import { assert, assertEquals } from "@std/assert";
import { describeError, EXIT, UsageError } from "../../../lib/support/errors.ts";

function chain(...messages: string[]): Error {
  const [first, ...rest] = messages;
  return rest.length === 0 ? new Error(first) : new Error(first, { cause: chain(...rest) });
}

/** The name, what is thrown, and its description. */
const ERRORS: readonly (readonly [string, unknown, string])[] = [
  ["one error", new Error("connection refused"), "connection refused"],
  ["causes, outermost first", chain("cannot pull", "no answer", "refused"), "cannot pull: no answer: refused"],
  [
    "a cause that the error already repeats",
    chain("cannot read a: not found", "not found"),
    "cannot read a: not found",
  ],
  ["an equal cause", chain("refused", "refused"), "refused"],
  ["a cause between two that say the same", chain("refused", "why", "refused"), "refused: why"],
  ["an error without a message", chain("", "refused"), "refused"],
  ["space around a message", chain(" cannot pull\n", "\trefused "), "cannot pull: refused"],
  ["several lines", chain("a: one\nb: two\r\n\n  c: three", "why"), "a: one; b: two; c: three: why"],
  [
    "a permission that the binary does not have",
    new Deno.errors.NotCapable(
      'Requires write access to "/etc/docker.sock", specify the required permissions during compilation using `deno compile --allow-write`',
    ),
    "Gilly may not write to /etc/docker.sock",
  ],
  [
    "a file of the kernel",
    new Deno.errors.NotCapable(
      'Requires all access to "/proc/self/environ", run again with the --allow-all flag',
    ),
    "Gilly may not read /proc/self/environ",
  ],
  [
    "a permission that is not about files",
    new Deno.errors.NotCapable('Requires env access to "HOME", run again with the --allow-env flag'),
    "Gilly may not use (env) HOME",
  ],
  ["a permission in other words", new Deno.errors.NotCapable("No access"), "No access"],
  ["a thrown string", "refused", "refused"],
  ["a string as a cause", new Error("cannot pull", { cause: "refused" }), "cannot pull: refused"],
  ["a number", 5, "5"],
  ["false", false, "false"],
  ["undefined", undefined, "unknown error"],
  ["null", null, "unknown error"],
  ["an empty error", new Error(), "unknown error"],
  ["a null cause", new Error("refused", { cause: null }), "refused"],
  [
    "an aborted signal's reason",
    AbortSignal.abort(new DOMException("stopped by a signal")).reason,
    "stopped by a signal",
  ],
];

for (const [name, error, said] of ERRORS) {
  Deno.test(`${name} is described as "${said}"`, () => assertEquals(describeError(error), said));
}

Deno.test("an error that is its own cause is described once", () => {
  const error = new Error("round and round");
  error.cause = error;
  assertEquals(describeError(error), "round and round");
});

Deno.test("a long chain of causes is cut after eight", () => {
  const messages = Array.from({ length: 100 }, (_, index) => `<${index}>`);
  assertEquals(describeError(chain(...messages)), messages.slice(0, 8).join(": "));
});

Deno.test("the exit codes all differ", () => {
  assertEquals(new Set(Object.values(EXIT)).size, Object.keys(EXIT).length);
  assertEquals(EXIT, { ok: 0, failure: 1, usage: 2, config: 78, readerGone: 141 });
});

Deno.test("a usage error is distinguishable from other errors", () => {
  const error: Error = new UsageError("--config requires one FILE");
  assert(error instanceof UsageError);
  assertEquals(String(error), "UsageError: --config requires one FILE");
});
