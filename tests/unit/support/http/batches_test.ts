import { assertEquals, assertLess, assertRejects } from "@std/assert";
import { BatchReader, type BatchReaderOptions, StalledError } from "../../../../lib/support/http/batches.ts";

const RECORD = 16 * 1024;
const NEVER = new AbortController().signal;

/** A body, and what its sender does. */
function makeBody() {
  let controller!: ReadableByteStreamController;
  let isCancelled = false;
  const body = new ReadableStream({
    type: "bytes",
    start: (it) => void (controller = it),
    cancel: () => void (isCancelled = true),
  });
  return {
    body,
    send: (bytes: number) => controller.enqueue(new Uint8Array(bytes).fill(1)),
    end() {
      controller.close();
      controller.byobRequest?.respond(0);
    },
    cut: () => controller.error(new TypeError("the connection was reset")),
    isCancelled: () => isCancelled,
  };
}

function readerOf(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  options: Partial<BatchReaderOptions> = {},
): BatchReader {
  return new BatchReader(body, { stallTimeoutMs: 60_000, now: () => 0, signal: NEVER, ...options });
}

async function sizesOf(reader: BatchReader): Promise<number[]> {
  const sizes: number[] = [];
  for (let bytes = await reader.next(); bytes !== undefined; bytes = await reader.next()) {
    assertEquals(bytes.every((byte) => byte === 1), true);
    sizes.push(bytes.byteLength);
  }
  return sizes;
}

Deno.test("the first bytes are returned as soon as they are there", async () => {
  const sender = makeBody();
  const reader = readerOf(sender.body);
  sender.send(10);
  assertEquals((await reader.next())?.byteLength, 10);
  reader.close();
});

Deno.test("the records of a fast sender are returned in batches, and all of them", async () => {
  const records = 1000;
  let sent = 0;
  const body = new ReadableStream({
    type: "bytes",
    pull(controller) {
      const view = controller.byobRequest!.view!;
      const size = sent++ < records ? Math.min(RECORD, view.byteLength) : 0;
      new Uint8Array(view.buffer, view.byteOffset, size).fill(1);
      if (size === 0) controller.close();
      controller.byobRequest!.respond(size);
    },
  });
  const sizes = await sizesOf(readerOf(body));
  assertEquals(sizes.reduce((sum, size) => sum + size), records * RECORD);
  assertLess(sizes.length, records / 20);
});

Deno.test("a slow sender's bytes do not wait for others", async () => {
  let time = 0;
  const sender = makeBody();
  const reader = readerOf(sender.body, { now: () => time += 100 });
  for (const bytes of [1000, 500, 250]) {
    sender.send(bytes);
    assertEquals((await reader.next())?.byteLength, bytes);
  }
  reader.close();
});

Deno.test("the end brings the bytes before it, however few they are", async () => {
  const sender = makeBody();
  const reader = readerOf(sender.body);
  sender.send(RECORD);
  await reader.next();
  const next = reader.next();
  sender.send(1);
  sender.end();
  assertEquals((await next)?.byteLength, 1);
  assertEquals(await reader.next(), undefined);
});

Deno.test("a sender that hangs is given up, at the beginning and later", async () => {
  const sender = makeBody();
  const idle = readerOf(sender.body, { stallTimeoutMs: 20 });
  await assertRejects(() => idle.next(), StalledError, "nothing arrived in 0.02 s");
  assertEquals(sender.isCancelled(), true);

  const other = makeBody();
  const reader = readerOf(other.body, { stallTimeoutMs: 20 });
  other.send(1_000_000);
  await assertRejects(() => sizesOf(reader), StalledError, "arrived in 0.02 s");
});

Deno.test("a body that is cut off is an error", async () => {
  const sender = makeBody();
  const reader = readerOf(sender.body);
  sender.send(10);
  await reader.next();
  sender.cut();
  await assertRejects(() => reader.next(), TypeError, "the connection was reset");
});

Deno.test("a call that waits ends with the signal's reason, and close() releases the body", async () => {
  const sender = makeBody();
  const stop = new AbortController();
  const reader = readerOf(sender.body, { signal: stop.signal });
  const next = reader.next();
  stop.abort(new Error("stopped"));
  await assertRejects(() => next, Error, "stopped");

  const other = makeBody();
  readerOf(other.body).close();
  assertEquals(other.isCancelled(), true);
});
