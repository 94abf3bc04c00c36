// Tests lib/record/ledger.ts: complete lines, whatever the file contains and with other writers.

import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { LedgerEntry } from "../../../lib/record/entry.ts";
import { LedgerError, LedgerFile, noLedger, readLedger } from "../../../lib/record/ledger.ts";
import { missingForTmpfs, mountTmpfs } from "../../faults/tmpfs.ts";
import { inTemporaryFolder } from "../../support/folder.ts";

function entry(image: string, more: Partial<LedgerEntry> = {}): LedgerEntry {
  return { time: "2020-05-16T01:11:53.000Z", result: "repaired", image, pods: ["default/app"], ...more };
}

function withLedger(test: (path: string) => Promise<void>): Promise<void> {
  return inTemporaryFolder((folder) => test(`${folder}/ledger.jsonl`));
}

Deno.test("what is appended is read back, oldest first", async () => {
  await withLedger(async (path) => {
    const whole = entry("gcr.io/a:1", {
      reference: "gcr.io/a:1",
      mirror: "mirror.example",
      candidate: "mirror.example/a:1",
      tagged: "gcr.io/a:1",
      id: "sha256:1",
      digest: "sha256:2",
      bytes: 2 ** 40,
      seconds: 1.5,
    });
    const ledger = new LedgerFile(path);
    await ledger.append(whole);
    await ledger.append(entry("gcr.io/b:1", { result: "unrepairable", reason: "no-rule", message: "add a rule" }));
    const { entries, unreadable } = await readLedger(path);
    assertEquals(entries[0], whole);
    assertEquals(entries.map(({ image }) => image), ["gcr.io/a:1", "gcr.io/b:1"]);
    assertEquals(unreadable, 0);
  });
});

Deno.test("each entry is one line, even if its texts contain line endings", async () => {
  await withLedger(async (path) => {
    const message = "first\nsecond\r\nthird\u2028fourth";
    await new LedgerFile(path).append(entry("a\nb", { message }));
    const text = await Deno.readTextFile(path);
    assertEquals(text.indexOf("\n"), text.length - 1);
    assertEquals((await readLedger(path)).entries.map((it) => it.message), [message]);
  });
});

Deno.test("a missing ledger reads as empty, and the first entry creates it", async () => {
  await withLedger(async (path) => {
    assertEquals(await readLedger(path), { entries: [], unreadable: 0, newer: 0 });
    await new LedgerFile(path).append(entry("a"));
    const { mode } = await Deno.stat(path);
    assertEquals((mode ?? 0) & 0o027, 0, "others may read it, or the group write it");
  });
});

/**
 * What a crash, a full disk or an editor may leave: how many lines are readable, and how many not.
 */
const REMAINS: readonly (readonly [string, string, number, number])[] = [
  ["half a line", '{"time":"2020-05-16T01:1', 0, 1],
  ["a complete line without a line ending", JSON.stringify(entry("before")), 1, 0],
  ["half a line after a complete one", `${JSON.stringify(entry("before"))}\n{"time`, 1, 1],
  ["empty lines", "\n\n  \n", 0, 0],
  ["a Windows line ending", `${JSON.stringify(entry("before"))}\r\n`, 1, 0],
  ["lines that are JSON but no entries", '5\nnull\n[]\n{}\n"text"\n{"time":1,"result":"x","image":"y"}\n', 0, 6],
  ["zeros, as a power cut leaves them", "\0\0\0\0", 0, 1],
  ["replacement characters", "\u{fffd}\u{fffd}\n", 0, 1],
];

for (const [name, remains, readable, unreadable] of REMAINS) {
  Deno.test(`${name} neither hides nor loses later entries`, async () => {
    await withLedger(async (path) => {
      await Deno.writeTextFile(path, remains);
      const ledger = new LedgerFile(path);
      await ledger.append(entry("after"));
      await ledger.append(entry("later"));
      const read = await readLedger(path);
      assertEquals(read.entries.slice(readable).map(({ image }) => image), ["after", "later"]);
      assertEquals([read.entries.length - 2, read.unreadable], [readable, unreadable]);
    });
  });
}

Deno.test("an entry with missing or invalid pods has none", async () => {
  await withLedger(async (path) => {
    const { pods: _, ...bare } = entry("a");
    await Deno.writeTextFile(path, `${JSON.stringify(bare)}\n${JSON.stringify({ ...bare, pods: "all" })}\n`);
    assertEquals((await readLedger(path)).entries.map(({ pods }) => pods), [[], []]);
  });
});

Deno.test("concurrent appends keep their order, and none is lost", async () => {
  await withLedger(async (path) => {
    const ledger = new LedgerFile(path);
    const images = Array.from({ length: 50 }, (_, index) => `gcr.io/a:${index}`);
    await Promise.all(images.map((image) => ledger.append(entry(image))));
    assertEquals((await readLedger(path)).entries.map(({ image }) => image), images);
  });
});

Deno.test("two writers of one file do not truncate each other's lines", async () => {
  await withLedger(async (path) => {
    const writers = [new LedgerFile(path), new LedgerFile(path)];
    const message = "m".repeat(5000);
    await Promise.all(
      writers.flatMap((writer, which) =>
        Array.from({ length: 50 }, (_, index) => writer.append(entry(`gcr.io/${which}:${index}`, { message })))
      ),
    );
    const { entries, unreadable } = await readLedger(path);
    assertEquals([entries.length, unreadable], [100, 0]);
    for (const which of [0, 1]) {
      const own = entries.filter(({ image }) => image.startsWith(`gcr.io/${which}:`));
      assertEquals(own.map(({ image }) => image), own.map((_, index) => `gcr.io/${which}:${index}`));
    }
  });
});

Deno.test("a file that a rotation moved away is created again", async () => {
  await withLedger(async (path) => {
    const ledger = new LedgerFile(path);
    await ledger.append(entry("old"));
    await Deno.rename(path, `${path}.1`);
    await ledger.append(entry("new"));
    assertEquals(JSON.parse(await Deno.readTextFile(path)).image, "new");
  });
});

Deno.test({
  name: "a full disk is an error that names the file",
  ignore: missingForTmpfs().length > 0,
  async fn() {
    await using disk = await mountTmpfs(4096);
    const path = `${disk.dir}/ledger.jsonl`;
    const message = "m".repeat(8192);
    const error = await assertRejects(() => new LedgerFile(path).append(entry("a", { message })), LedgerError);
    assertStringIncludes(error.message, `cannot write the ledger ${path}: No space left on device`);
    assert(error.cause instanceof Error);
  },
});

Deno.test("a path that cannot be written is an error that names the file, and the next entry is still tried", async () => {
  await withLedger(async (path) => {
    const ledger = new LedgerFile(path);
    await Deno.mkdir(path);
    await assertRejects(() => ledger.append(entry("lost")), LedgerError, `cannot write the ledger ${path}: `);
    await Deno.remove(path);
    await ledger.append(entry("kept"));
    assertEquals((await readLedger(path)).entries.map(({ image }) => image), ["kept"]);
  });
});

Deno.test("a file in a missing folder cannot be written, but reads as empty", async () => {
  await withLedger(async (path) => {
    const missing = `${path}/missing/ledger.jsonl`;
    await assertRejects(() => new LedgerFile(missing).append(entry("a")), LedgerError, missing);
    assertEquals(await readLedger(missing), { entries: [], unreadable: 0, newer: 0 });
  });
});

Deno.test("a ledger that cannot be read is an error that names the file", async () => {
  await withLedger(async (path) => {
    await Deno.mkdir(path);
    await assertRejects(() => readLedger(path), LedgerError, `cannot read the ledger ${path}: `);
  });
});

Deno.test("an entry is written as it was when append was called", async () => {
  await withLedger(async (path) => {
    const pods = ["default/app"];
    const written = new LedgerFile(path).append(entry("a", { pods }));
    pods.push("default/other");
    await written;
    assertEquals((await readLedger(path)).entries[0]?.pods, ["default/app"]);
  });
});

Deno.test("noLedger keeps nothing", async () => {
  assertEquals(await noLedger.append(entry("a")), undefined);
});

Deno.test("a line of a newer version is counted, and shown as far as it is understood", async () => {
  await withLedger(async (path) => {
    const newer = { version: 2, time: "2030-01-01T00:00:00Z", result: "postponed", image: "a", pods: ["b/c"], mood: 1 };
    await Deno.writeTextFile(path, `${JSON.stringify(newer)}\n{"version":2,"what":"else"}\n`);
    await new LedgerFile(path).append(entry("ours"));
    const { entries, unreadable, newer: count } = await readLedger(path);
    assertEquals(entries.map(({ image, result }) => `${image} ${result}`), ["a postponed", "ours repaired"]);
    assertEquals([unreadable, count], [0, 2]);
  });
});

Deno.test("an invalid field is left out, and the rest of its line is kept", async () => {
  await withLedger(async (path) => {
    const edited = { ...entry("a"), bytes: "many", seconds: 1, mirror: null, digest: "sha256:1", pods: ["b/c", 5] };
    await Deno.writeTextFile(path, `${JSON.stringify(edited)}\n`);
    assertEquals((await readLedger(path)).entries, [entry("a", { seconds: 1, digest: "sha256:1", pods: ["b/c"] })]);
  });
});

Deno.test("an oversized line is unreadable, and the lines after it are read", async () => {
  await withLedger(async (path) => {
    await Deno.writeTextFile(path, `{"time":"${"x".repeat(3 << 20)}"}\n`);
    await new LedgerFile(path).append(entry("after"));
    const { entries, unreadable } = await readLedger(path);
    assertEquals([entries.map(({ image }) => image), unreadable], [["after"], 1]);
  });
});

Deno.test("characters of several bytes are intact across the chunks that are read", async () => {
  await withLedger(async (path) => {
    const ledger = new LedgerFile(path);
    for (let index = 0; index < 100; index++) await ledger.append(entry("a", { message: "€".repeat(1000 + index) }));
    const { entries, unreadable } = await readLedger(path);
    assertEquals([entries.length, unreadable], [100, 0]);
    assertEquals(entries.filter(({ message }, index) => message !== "€".repeat(1000 + index)), []);
  });
});
