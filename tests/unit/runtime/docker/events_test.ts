import { assertEquals } from "@std/assert";
import { parseEvent } from "../../../../lib/runtime/docker/events.ts";

const label = "io.kubernetes.docker.type";
const container = (Action: string, type?: string) => ({
  Type: "container",
  Action,
  Actor: { ID: "c", Attributes: type === undefined ? {} : { [label]: type } },
});

const EVENTS: readonly (readonly [string, unknown, string | undefined])[] = [
  ["a sandbox that starts", container("start", "podsandbox"), "sandbox-started"],
  ["a container that starts", container("start", "container"), undefined],
  ["a container that ends", container("die", "container"), "container-died"],
  ["a sandbox that ends", container("die", "podsandbox"), undefined],
  ["a container that belongs to no pod", container("start"), undefined],
  ["an image that is untagged", { Type: "image", Action: "untag", Actor: { ID: "gcr.io/a/b:1" } }, "image-removed"],
  ["an image that is deleted", { Type: "image", Action: "delete", Actor: { ID: "sha256:1" } }, "image-removed"],
  ["an image that is tagged", { Type: "image", Action: "tag", Actor: { ID: "sha256:1" } }, undefined],
  ["another kind of event", { Type: "network", Action: "delete" }, undefined],
  ["a container without attributes", { Type: "container", Action: "start", Actor: {} }, undefined],
  ["null", null, undefined],
  ["a number", 7, undefined],
];
for (const [what, event, expected] of EVENTS) {
  Deno.test(`${what} is ${expected ?? "no hint"}`, () => {
    assertEquals(parseEvent(JSON.stringify(event)), expected as ReturnType<typeof parseEvent>);
  });
}

Deno.test("a line that is not JSON is not a hint", () => {
  assertEquals([parseEvent(""), parseEvent('{"Type":"cont'), parseEvent("<html>")], [undefined, undefined, undefined]);
});
