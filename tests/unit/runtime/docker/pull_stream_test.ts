import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import {
  parsePullLine,
  type PullLine,
  PullStreamError,
  PullTally,
  readPullLines,
} from "../../../../lib/runtime/docker/pull_stream.ts";
import { PROJECT } from "../../../../tools/deno.ts";

const DIGEST = "sha256:f20ab5088386c75b3a9462870dcac15b01e4ffb7cb94cca582f7492571c94eb5";

function captured(name: string): Promise<Uint8Array> {
  return Deno.readFile(`${PROJECT}tests/testdata/${name}.ndjson`);
}

async function* inChunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.byteLength; start += size) yield bytes.subarray(start, start + size);
}

async function read(text: string | Uint8Array, size = 65536, lineLimit?: number): Promise<PullLine[]> {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  return await Array.fromAsync(readPullLines(inChunks(bytes, size), lineLimit));
}

async function tallyOf(name: string): Promise<PullTally> {
  const tally = new PullTally();
  for (const line of await read(await captured(name))) tally.add(line);
  return tally;
}

Deno.test("a captured pull has its digest, its bytes and its final status", async () => {
  for (const name of ["pull_downloaded", "pull_by_digest"]) {
    const tally = await tallyOf(name);
    assertEquals([tally.digest, tally.bytes, tally.error], [DIGEST, 3001180, undefined]);
    assertStringIncludes(tally.finalStatus ?? "", "Downloaded newer image for 127.0.0.1:39473/sgryczan/ansible-runner");
  }
});

Deno.test("a captured pull of a present image has no bytes", async () => {
  const tally = await tallyOf("pull_up_to_date");
  assertEquals([tally.digest, tally.bytes, tally.error], [DIGEST, 0, undefined]);
  assertStringIncludes(tally.finalStatus ?? "", "Image is up to date for ");
});

Deno.test("a captured pull with a truncated or corrupt layer has an error and no final status", async () => {
  const truncated = await tallyOf("pull_truncated_blob");
  assertEquals([truncated.error, truncated.finalStatus], ["EOF", undefined]);
  const corrupt = await tallyOf("pull_corrupt_blob");
  assertStringIncludes(corrupt.error ?? "", "filesystem layer verification failed for digest sha256:d1408ba658b3");
  assertEquals(corrupt.finalStatus, undefined);
});

Deno.test("the same lines are read wherever the stream is split into chunks", async () => {
  const bytes = new Uint8Array([
    ...await captured("pull_downloaded"),
    ...new TextEncoder().encode('{"status":"Ünïcødé 🐋","id":"ä"}\r\n'),
  ]);
  const whole = await read(bytes);
  assertEquals(whole.length, 11);
  assertEquals(whole.at(-1), { status: "Ünïcødé 🐋", id: "ä" });
  for (const size of [1, 2, 3, 5, 7, 64, 1000]) assertEquals(await read(bytes, size), whole, `chunks of ${size}`);
});

Deno.test("blank lines, bare newlines and a last line without a line ending are read", async () => {
  const lines = await read('\r\n{"status":"a"}\n\n  \r\n{"status":"b"}');
  assertEquals(lines, [{ status: "a" }, { status: "b" }]);
  assertEquals(await read(""), []);
});

Deno.test("errorDetail takes precedence over error, and an error without a message is still an error", () => {
  const errors = [
    ['{"errorDetail":{"code":404,"message":"new"},"error":"old"}', "new"],
    ['{"error":"old"}', "old"],
    ['{"errorDetail":{"message":""},"error":""}', "the Engine reported an error without a message"],
    ['{"errorDetail":{}}', "the Engine reported an error without a message"],
  ] as const;
  for (const [text, expected] of errors) assertEquals(parsePullLine(text)?.error, expected, text);
});

Deno.test("fields of other types are left out", () => {
  assertEquals(parsePullLine('{"status":1,"id":null,"progressDetail":{"current":"1","total":-1}}'), {});
  assertEquals(parsePullLine('{"progressDetail":[1],"aux":{"x":1}}'), {});
});

Deno.test("seconds of unpacking are not counted as bytes", () => {
  const tally = new PullTally();
  tally.add({ id: "aaaaaaaaaaaa", status: "Downloading", current: 10, total: 10 });
  const unpacking = parsePullLine(
    '{"status":"Extracting","id":"aaaaaaaaaaaa","progressDetail":{"current":70,"units":"s"}}',
  );
  assert(unpacking !== undefined && tally.add(unpacking));
  assertEquals(tally.bytes, 10);
});

Deno.test("a line that is not a JSON object is refused with an excerpt", async () => {
  for (const text of ["<html>\n", "[1]\n", "null\n", '"text"\n', '{"status":"ok"}\n{"status":"brok']) {
    const error = await assertRejects(() => read(text), PullStreamError);
    assertStringIncludes(error.message, JSON.stringify(text.trim().split("\n").at(-1)));
  }
  const long = assertThrows(() => parsePullLine("x".repeat(5000)), PullStreamError);
  assert(long.message.length < 200);
});

Deno.test("a line longer than the limit is refused before it is complete", async () => {
  const line = `{"status":"${"x".repeat(100)}"}`;
  assertEquals((await read(`${line}\n${line}\n`, 7, 120)).length, 2);
  for (const text of [`${line}\n`, line]) {
    const error = await assertRejects(() => read(text, 7, 100), PullStreamError);
    assertStringIncludes(error.message, "longer than 100 bytes");
  }
  let taken = 0;
  async function* endless() {
    for (;;) yield new Uint8Array(65536).fill(0x20 + 0 * taken++);
  }
  await assertRejects(() => Array.fromAsync(readPullLines(endless())), PullStreamError);
  assertEquals(taken, 17);
});

Deno.test("a connection failure passes through unchanged", async () => {
  const failure = new TypeError("connection reset");
  async function* broken() {
    yield new TextEncoder().encode('{"status":"a"}\n');
    throw failure;
  }
  assertEquals(await assertRejects(() => Array.fromAsync(readPullLines(broken())), TypeError), failure);
});

Deno.test("a line that repeats the last one of its layer is not progress", () => {
  const tally = new PullTally();
  const line = { id: "aaaaaaaaaaaa", status: "Downloading", current: 1, total: 9 };
  const steps: [PullLine, boolean][] = [
    [line, true],
    [{ ...line }, false],
    [{ ...line, id: "bbbbbbbbbbbb" }, true],
    [{ ...line }, false],
    [{ ...line, current: 2 }, true],
    [{ ...line, current: 2, status: "Retrying in 5 seconds" }, true],
    [{ status: "Digest: sha256:abc" }, true],
    [{ status: "Digest: sha256:abc" }, false],
    [{ error: "EOF" }, true],
  ];
  for (const [step, expected] of steps) assertEquals(tally.add(step), expected, JSON.stringify(step));
});

Deno.test("a Status or Digest of a layer is not that of the image, and the first error is kept", () => {
  const tally = new PullTally();
  tally.add({ id: "aaaaaaaaaaaa", status: "Status: Downloaded newer image for x" });
  tally.add({ id: "aaaaaaaaaaaa", status: "Digest: sha256:abc" });
  tally.add({ error: "first" });
  tally.add({ error: "second" });
  assertEquals([tally.finalStatus, tally.digest, tally.error], [undefined, undefined, "first"]);
});

Deno.test("more layers than an image can have are refused", () => {
  const tally = new PullTally();
  assertThrows(
    () => {
      for (let layer = 0; layer < 5000; layer++) tally.add({ id: String(layer), status: "Waiting" });
    },
    PullStreamError,
    "more than 4096 layers",
  );
});

const STALLS: readonly (readonly [string, readonly string[], RegExp | undefined])[] = [
  ["layers that all wait for a slot", ["Waiting", "Waiting"], /download slot/],
  ["layers that wait while others are already there", ["Waiting", "Pull complete", "Already exists"], /download slot/],
  ["a layer that is unpacked forever", ["Extracting", "Download complete", "Pull complete"], /extracting/],
  ["a layer that is verified forever while others wait", ["Verifying Checksum", "Waiting"], /extracting/],
  ["a layer that waits behind one that has a slot and gets nothing", ["Waiting", "Pulling fs layer"], undefined],
  ["a layer that waits behind one that is downloaded", ["Waiting", "Downloading"], undefined],
  ["a layer that is downloaded while another is unpacked", ["Downloading", "Extracting"], undefined],
  ["layers that are all there", ["Pull complete"], undefined],
  ["no layers at all", [], undefined],
];
for (const [what, statuses, stalledBy] of STALLS) {
  Deno.test(`${what}: ${stalledBy ? "the Engine causes the stall" : "the Engine is not the cause"}`, () => {
    const tally = new PullTally();
    for (const [index, status] of statuses.entries()) tally.add({ id: `layer-${index}`, status });
    if (stalledBy === undefined) assertEquals(tally.stalledBy, undefined);
    else assertMatch(tally.stalledBy ?? "", stalledBy);
  });
}
