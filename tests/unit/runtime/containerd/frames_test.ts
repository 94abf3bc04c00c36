import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import fc from "fast-check";
import { framed, FrameError, FrameReader } from "../../../../lib/runtime/containerd/frames.ts";

const LIMIT = 1000;
const message = fc.uint8Array({ maxLength: LIMIT });

Deno.test("a message has a flag of 0 and its length, big-endian, before it", () => {
  assertEquals([...framed(new Uint8Array(258)).subarray(0, 6)], [0, 0, 0, 1, 2, 0]);
  assertEquals([...framed(new Uint8Array())], [0, 0, 0, 0, 0]);
});

Deno.test("messages are the same however their bytes arrive", () => {
  fc.assert(fc.property(fc.array(message), fc.array(fc.nat(2000)), (messages, cuts) => {
    const bytes = new Uint8Array(messages.flatMap((it) => [...framed(it)]));
    const reader = new FrameReader(LIMIT);
    const found: Uint8Array[] = [];
    let at = 0;
    for (const cut of [...cuts, bytes.length]) {
      found.push(...reader.push(bytes.subarray(at, Math.min(at + cut, bytes.length))));
      at = Math.min(at + cut, bytes.length);
    }
    reader.end();
    assertEquals(found.map((it) => [...it]), messages.map((it) => [...it]));
  }));
});

Deno.test("any bytes are messages or a FrameError", () => {
  fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 64 })), (chunks) => {
    const reader = new FrameReader(LIMIT);
    try {
      for (const chunk of chunks) reader.push(chunk);
      reader.end();
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
    }
  }));
});

for (
  const [what, bytes, reason] of [
    ["that is compressed", [1, 0, 0, 0, 0], /begins with the byte 1/],
    ["that is too large", [0, 0, 0, 4, 0], /a message of 1024 bytes, at most 1000 are taken/],
    ["of the largest size", [0, 255, 255, 255, 255], /4294967295 bytes/],
  ] as const
) {
  Deno.test(`a message ${what} is refused before it is read`, () => {
    const error = assertThrows(() => new FrameReader(LIMIT).push(new Uint8Array(bytes)), FrameError);
    assertMatch(error.message, reason);
  });
}

Deno.test("a large message is put together once, not with every chunk", () => {
  const bytes = framed(new Uint8Array(1_000_000));
  const reader = new FrameReader(1_000_000);
  const { set } = Uint8Array.prototype;
  let copied = 0;
  Uint8Array.prototype.set = function (source: ArrayLike<number>, at?: number) {
    copied += source.length;
    set.call(this, source, at);
  };
  try {
    let messages = 0;
    for (let at = 0; at < bytes.length; at += 1000) messages += reader.push(bytes.subarray(at, at + 1000)).length;
    assertEquals(messages, 1);
  } finally {
    Uint8Array.prototype.set = set;
  }
  assertEquals(copied, bytes.length);
});

Deno.test("an answer that ends within a message is torn", () => {
  const reader = new FrameReader(LIMIT);
  assertEquals(reader.push(new Uint8Array([0, 0, 0, 0, 3, 1, 2])), []);
  assertThrows(() => reader.end(), FrameError, "the answer ends within a message");
});
