// Tests lib/check/registry.ts on a mirror: the answers of a runtime that can ask without pulling.

import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { askingMirrors } from "../../../lib/check/registry.ts";
import { RuntimeError } from "../../../lib/runtime/errors.ts";
import { clockAt } from "../../fakes/clock.ts";
import { type FakeMirror, startMirror } from "../../fakes/mirror.ts";

const never = new AbortController().signal;

async function withMirror(use: (mirror: FakeMirror) => Promise<void>): Promise<void> {
  const mirror = startMirror();
  try {
    await use(mirror);
  } finally {
    await mirror.stop();
  }
}

function ask(reference: string, auth?: { readonly username: string; readonly password: string }) {
  return askingMirrors("/nonexistent", clockAt(0).now)(reference, { signal: never, auth });
}

Deno.test("an image is asked for by HEAD, and told by its digest", () =>
  withMirror(async (mirror) => {
    const { digest } = mirror.put("a/b:1");
    assertEquals(await ask(`${mirror.host}/a/b:1`), { digest });
    assertEquals(await ask(`${mirror.host}/a/b@${digest}`), { digest });
    assertEquals(await ask(`${mirror.host}/a/b:2`), undefined);
    assertEquals(new Set(mirror.requests.map((line) => line.split(" ")[0])), new Set(["HEAD"]));
  }));

for (
  const [status, kind] of [[401, "denied"], [403, "denied"], [429, "rate-limited"], [503, "registry-down"]] as const
) {
  Deno.test(`a mirror that answers ${status} is ${kind}, and no secret is in the error`, () =>
    withMirror(async (mirror) => {
      mirror.respond = () => new Response("alice wonderland", { status });
      const auth = { username: "alice", password: "wonderland" };
      const error = await assertRejects(() => ask(`${mirror.host}/a/b:1`, auth), RuntimeError);
      assertEquals(error.kind, kind);
      assertStringIncludes(error.message, `resolve ${mirror.host}/a/b:1: `);
      assertEquals(error.message.includes("wonderland"), false);
    }));
}

Deno.test("a mirror that refuses connections is registry-down", async () => {
  const error = await assertRejects(() => ask("127.0.0.1:1/a/b:1"), RuntimeError);
  assertEquals(error.kind, "registry-down");
});
