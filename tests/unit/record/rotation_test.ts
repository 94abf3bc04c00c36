// Tests the ledger as one sequence of files: nothing is lost or read twice, with several writers
// and after a kill.

import { assert, assertEquals, assertRejects } from "@std/assert";
import type { LedgerEntry } from "../../../lib/record/entry.ts";
import { LedgerError, LedgerFile, readLedger } from "../../../lib/record/ledger.ts";
import { makeRoom, openSequence } from "../../../lib/record/rotation.ts";
import { PROJECT } from "../../../tools/deno.ts";
import { inTemporaryFolder } from "../../support/folder.ts";

const MESSAGE = "m".repeat(800);

function entry(number: number): LedgerEntry {
  return { time: "2026-11-01T01:11:53.000Z", result: "repaired", image: `a:${number}`, pods: [], message: MESSAGE };
}

function filesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

async function numbersIn(path: string): Promise<number[]> {
  return (await readLedger(path)).entries.map(({ image }) => Number(image.slice(2)));
}

const upTo = (last: number, first = 0) => Array.from({ length: last - first + 1 }, (_, index) => first + index);

Deno.test("a growing ledger becomes a sequence of files within the size limit, read as one", async () => {
  await inTemporaryFolder(async (folder) => {
    const path = `${folder}/ledger.jsonl`;
    const ledger = new LedgerFile(path, { maxBytes: 4096, keep: 9 });
    for (const number of upTo(19)) await ledger.append(entry(number));
    assertEquals(await numbersIn(path), upTo(19));
    const files = filesIn(folder);
    assertEquals(files, ["ledger.jsonl", ...upTo(files.length - 1, 1).map((number) => `ledger.jsonl.${number}`)]);
    assert(files.length > 3);
    for (const file of files) assert((await Deno.stat(`${folder}/${file}`)).size <= 4096, file);
  });
});

Deno.test("only the configured number of files is kept, with the newest entries", async () => {
  await inTemporaryFolder(async (folder) => {
    const path = `${folder}/ledger.jsonl`;
    const ledger = new LedgerFile(path, { maxBytes: 4096, keep: 2 });
    for (const number of upTo(40)) await ledger.append(entry(number));
    assertEquals(filesIn(folder), ["ledger.jsonl", "ledger.jsonl.1", "ledger.jsonl.2"]);
    const numbers = await numbersIn(path);
    assertEquals(numbers, upTo(40, numbers[0]));
    assert(numbers.length >= 9);
  });
});

Deno.test("when fewer files are to be kept, the next rotation removes the rest", async () => {
  await inTemporaryFolder(async (folder) => {
    const path = `${folder}/ledger.jsonl`;
    for (const number of upTo(7, 1)) await Deno.writeTextFile(`${path}.${number}`, "");
    await Deno.writeTextFile(path, "x".repeat(5000));
    await makeRoom(path, 1, { maxBytes: 4096, keep: 2 });
    assertEquals(filesIn(folder), ["ledger.jsonl.1", "ledger.jsonl.2"]);
  });
});

Deno.test("an entry larger than the file limit is still written", async () => {
  await inTemporaryFolder(async (folder) => {
    const path = `${folder}/ledger.jsonl`;
    const ledger = new LedgerFile(path, { maxBytes: 100, keep: 5 });
    for (const number of upTo(3)) await ledger.append(entry(number));
    assertEquals(await numbersIn(path), upTo(3));
  });
});

Deno.test("files with other names next to the ledger are neither read nor moved", async () => {
  await inTemporaryFolder(async (folder) => {
    const path = `${folder}/ledger.jsonl`;
    const others = ["ledger.jsonl.0", "ledger.jsonl.01", "ledger.jsonl.1.gz", "ledger.jsonl.x", "ledger.jsonl.1000"];
    for (const name of others) await Deno.writeTextFile(`${folder}/${name}`, `${JSON.stringify(entry(99))}\n`);
    const ledger = new LedgerFile(path, { maxBytes: 1000, keep: 1 });
    for (const number of upTo(2)) await ledger.append(entry(number));
    assertEquals(await numbersIn(path), [1, 2]);
    assertEquals(filesIn(folder), ["ledger.jsonl", "ledger.jsonl.1", ...others].sort());
  });
});

// The steps of a rotation of FILE, FILE.1 and FILE.2, each of which may be the last.
for (const gap of [0, 1, 2]) {
  Deno.test(`a rotation killed before it created ${gap === 0 ? "the new file" : `FILE.${gap}`} loses nothing`, async () => {
    await inTemporaryFolder(async (folder) => {
      const path = `${folder}/ledger.jsonl`;
      const names = [3, 2, 1, 0].filter((number) => number !== gap).map((number) =>
        number === 0 ? path : `${path}.${number}`
      );
      for (const [number, name] of names.entries()) {
        await Deno.writeTextFile(name, `${JSON.stringify(entry(number))}\n`);
      }
      assertEquals(await numbersIn(path), [0, 1, 2]);
      const ledger = new LedgerFile(path, { maxBytes: 1000, keep: 5 });
      for (const number of [3, 4]) await ledger.append(entry(number));
      assertEquals(await numbersIn(path), [0, 1, 2, 3, 4]);
    });
  });
}

/** Starts a process that appends to a ledger. */
function writer(path: string, first: number, count: number): Deno.ChildProcess {
  const code = `
    import { LedgerFile } from ${JSON.stringify(`file://${PROJECT}lib/record/ledger.ts`)};
    const ledger = new LedgerFile(${JSON.stringify(path)}, { maxBytes: 8192, keep: 100 });
    for (let number = ${first}; number < ${first + count}; number++) {
      const image = "a:" + number;
      await ledger.append({ time: "", result: "repaired", image, pods: [], message: ${JSON.stringify(MESSAGE)} });
    }`;
  return new Deno.Command(Deno.execPath(), { args: ["eval", "--no-check", "--quiet", code], stdin: "null" }).spawn();
}

Deno.test("two processes append and rotate at once without a lost or broken line, and a reader sees each entry once", async () => {
  await inTemporaryFolder(async (folder) => {
    const path = `${folder}/ledger.jsonl`;
    const each = 150;
    const writers = [writer(path, 0, each), writer(path, 1000, each)];
    let writing = true;
    const ended = Promise.all(writers.map(({ status }) => status)).finally(() => writing = false);
    while (writing) {
      const numbers = await numbersIn(path);
      assertEquals(new Set(numbers).size, numbers.length, "an entry was read twice");
      for (
        const own of [
          numbers.filter((it) => it < 1000),
          numbers.filter((it) => it >= 1000).map((it) => it - 1000),
        ]
      ) {
        assertEquals(own.toSorted((left, right) => left - right), upTo(own.length - 1), "an entry was passed over");
      }
    }
    assertEquals((await ended).map(({ code }) => code), [0, 0]);
    const { entries, unreadable } = await readLedger(path);
    assertEquals([entries.length, unreadable], [2 * each, 0]);
    for (const file of filesIn(folder)) assert((await Deno.stat(`${folder}/${file}`)).size < 2 * 8192, file);
    assert(filesIn(folder).length > 20);
  });
});

Deno.test("a reader that opened the files before a rotation reads them completely", async () => {
  await inTemporaryFolder(async (folder) => {
    const path = `${folder}/ledger.jsonl`;
    const ledger = new LedgerFile(path, { maxBytes: 1000, keep: 2 });
    for (const number of upTo(2)) await ledger.append(entry(number));
    const files = await openSequence(path);
    for (const number of upTo(6, 3)) await ledger.append(entry(number));
    const images: string[] = [];
    for (const file of files) {
      using open = file;
      images.push(JSON.parse(await new Response(open.readable).text()).image);
    }
    assertEquals(images, ["a:0", "a:1", "a:2"]);
  });
});

Deno.test("a reader sees what several rotations moved between two of its steps", async () => {
  await inTemporaryFolder(async (folder) => {
    const path = `${folder}/ledger.jsonl`;
    const ledger = new LedgerFile(path, { maxBytes: 1000, keep: 9 });
    await ledger.append(entry(0));
    const { open } = Deno;
    try {
      // The reader has opened the only file, and seen that there is no older one.
      Deno.open = async (name, options) => {
        if (name !== `${path}.1`) return await open(name, options);
        Deno.open = open;
        for (const number of upTo(3, 1)) await ledger.append(entry(number));
        return await open(name, options);
      };
      assertEquals(await numbersIn(path), [0, 1, 2]);
    } finally {
      Deno.open = open;
    }
  });
});

Deno.test("a lock held by another process delays an entry by at most a second, and the file grows instead", async () => {
  await inTemporaryFolder(async (folder) => {
    const path = `${folder}/ledger.jsonl`;
    const ledger = new LedgerFile(path, { maxBytes: 1000, keep: 2 });
    await ledger.append(entry(0));
    const holder = await Deno.open(path);
    await holder.lock(true);
    await ledger.append(entry(1));
    assertEquals(filesIn(folder), ["ledger.jsonl"]);
    holder.close();
    await ledger.append(entry(2));
    assertEquals(filesIn(folder), ["ledger.jsonl", "ledger.jsonl.1"]);
    assertEquals(await numbersIn(path), [0, 1, 2]);
  });
});

Deno.test("a ledger that cannot be rotated keeps its entry and throws", async () => {
  await inTemporaryFolder(async (folder) => {
    const path = `${folder}/ledger.jsonl`;
    const ledger = new LedgerFile(path, { maxBytes: 1000, keep: 1 });
    await ledger.append(entry(0));
    await Deno.mkdir(`${path}.1`);
    await assertRejects(() => ledger.append(entry(1)), LedgerError, `cannot rotate the ledger ${path}: `);
    assertEquals(await numbersIn(path), [0, 1]);
  });
});

Deno.test("files that root creates belong to the folder's owner, before and after a rotation", async () => {
  if (Deno.uid() !== 0) return;
  await inTemporaryFolder(async (folder) => {
    await Deno.chown(folder, 12345, 23456);
    const ledger = new LedgerFile(`${folder}/ledger.jsonl`, { maxBytes: 1000, keep: 1 });
    for (const number of upTo(2)) await ledger.append(entry(number));
    for (const name of filesIn(folder)) {
      const { uid, gid } = await Deno.stat(`${folder}/${name}`);
      assertEquals([uid, gid], [12345, 23456], name);
    }
  });
});

Deno.test({
  name: "a new ledger of root is given to the folder's owner, and an existing file is not",
  ignore: Deno.uid() !== 0,
  async fn() {
    await inTemporaryFolder(async (folder) => {
      await Deno.chown(folder, 65534, 65534);
      const owner = async (path: string) => (await Deno.stat(path)).uid;
      await new LedgerFile(`${folder}/own.jsonl`).append(entry(1));
      assertEquals(await owner(`${folder}/own.jsonl`), 65534);
      // A symbolic link is refused earlier: see unit/support/files_test.ts.
      await Deno.writeTextFile(`${folder}/victim`, "");
      await Deno.link(`${folder}/victim`, `${folder}/hard.jsonl`);
      await new LedgerFile(`${folder}/hard.jsonl`).append(entry(1));
      assertEquals(await owner(`${folder}/victim`), 0);
    });
  },
});
