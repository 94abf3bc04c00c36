import { assertEquals } from "@std/assert";
import { RuntimeError, scrubbedError } from "../../../lib/runtime/errors.ts";

Deno.test("an error is scrubbed in its message, its causes and its whole text", () => {
  const scrub = (text: string) => text.replaceAll("hunter2", "***");
  const scrubbed = (error: RuntimeError) => scrubbedError(error, scrub) as RuntimeError;
  const inWhole = new RuntimeError("denied", "pull: no", { whole: "pull: no, hunter2", retryAfterSeconds: 5 });
  const { kind, message, whole, retryAfterSeconds } = scrubbed(inWhole);
  assertEquals([kind, message, whole, retryAfterSeconds], ["denied", "pull: no", "pull: no, ***", 5]);
  const inCause = new RuntimeError("failed", "pull", { cause: new Error("hunter2"), whole: "pull: in full" });
  assertEquals([scrubbed(inCause).message, scrubbed(inCause).whole], ["pull: ***", "pull: in full"]);
  const clean = new RuntimeError("failed", "pull", { whole: "pull: in full" });
  assertEquals(scrubbedError(clean, scrub), clean);
});

Deno.test("a text that is its own brief is not kept twice", () => {
  assertEquals(new RuntimeError("failed", "pull: no", { whole: "pull: no" }).whole, undefined);
});
