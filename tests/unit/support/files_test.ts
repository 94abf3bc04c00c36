// Tests the adapter that writes files: only to folders where Gilly may write, whatever links exist.

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { LedgerError, LedgerFile } from "../../../lib/record/ledger.ts";
import { makeRoom } from "../../../lib/record/rotation.ts";
import * as files from "../../../lib/support/files.ts";
import { inTemporaryFolder } from "../../support/folder.ts";

/** Every way to write, create or remove a file; each gets the path of a file. */
const WAYS: Readonly<Record<string, (path: string) => Promise<unknown>>> = {
  "appending": async (path) => await (await files.openForAppending(path, 0o640)).close(),
  "replacing": (path) => files.writeAtomically(path, "text"),
  "removing": (path) => files.removeFile(path),
  "making a folder": (path) => files.makeFolders(path),
  "making folders": (path) => files.makeFolders(`${path}/a/b`),
};

for (const [name, write] of Object.entries(WAYS)) {
  Deno.test(`${name} is refused in a system folder, by name and through links`, async () => {
    await inTemporaryFolder(async (folder) => {
      await Deno.symlink("/etc", `${folder}/link`);
      await Deno.symlink("link", `${folder}/link-to-link`);
      await Deno.symlink("/", `${folder}/root`);
      const file = `gilly-test-${crypto.randomUUID()}`;
      for (const way of ["/etc", "/bin", `${folder}/link`, `${folder}/link-to-link`, `${folder}/root/usr/lib`]) {
        await assertRejects(() => write(`${way}/${file}`), files.ProtectedPathError, "where Gilly never writes");
        await assertRejects(() => Deno.lstat(`${way}/${file}`), Deno.errors.NotFound);
      }
    });
  });
}

Deno.test("the synchronous check refuses the same paths", async () => {
  await inTemporaryFolder(async (folder) => {
    await Deno.symlink("/etc", `${folder}/link`);
    assertThrows(
      () => files.realPathForWritingSync(`${folder}/link/notify.sock`),
      files.ProtectedPathError,
      `${folder}/link/notify.sock leads to /etc/notify.sock, in /etc, where Gilly never writes; expected a path`,
    );
    assertEquals(files.realPathForWritingSync(`${folder}/notify.sock`), `${await Deno.realPath(folder)}/notify.sock`);
  });
});

Deno.test("a link to a folder outside the system folders is followed", async () => {
  await inTemporaryFolder(async (folder) => {
    await Deno.mkdir(`${folder}/data`);
    await Deno.symlink("data", `${folder}/link`);
    await new LedgerFile(`${folder}/link/ledger.jsonl`).append({ time: "", result: "failed", image: "a", pods: [] });
    await files.writeAtomically(`${folder}/link/state.json`, "{}");
    await files.makeFolders(`${folder}/link/a/b`);
    assertEquals([...Deno.readDirSync(`${folder}/data`)].map(({ name }) => name).sort(), [
      "a",
      "ledger.jsonl",
      "state.json",
    ]);
  });
});

/** Runs a test in a folder with an unrelated file, and asserts that the file does not change. */
async function besideVictim(use: (folder: string, victim: string) => Promise<void>): Promise<void> {
  await inTemporaryFolder(async (folder) => {
    const victim = `${folder}/victim`;
    await Deno.writeTextFile(victim, "precious", { mode: 0o600 });
    await use(folder, victim);
    assertEquals(await Deno.readTextFile(victim), "precious");
    assertEquals((await Deno.stat(victim)).mode! & 0o777, 0o600);
  });
}

Deno.test("a symbolic link in place of the ledger is not followed, whether its target exists or not", async () => {
  await besideVictim(async (folder, victim) => {
    for (const target of [victim, `${folder}/missing`]) {
      const path = `${folder}/ledger.jsonl`;
      await Deno.symlink(target, path);
      const append = () => new LedgerFile(path).append({ time: "", result: "failed", image: "a", pods: [] });
      await assertRejects(append, LedgerError, `cannot write the ledger ${path}: ${path} is a symbolic link`);
      await Deno.remove(path);
    }
    await assertRejects(() => Deno.lstat(`${folder}/missing`), Deno.errors.NotFound);
  });
});

Deno.test("a rotation moves no symbolic link, and does not write through one among the older files", async () => {
  await besideVictim(async (folder, victim) => {
    const path = `${folder}/ledger.jsonl`;
    await Deno.symlink(victim, path);
    await makeRoom(path, 1, { maxBytes: 1, keep: 5 });
    assertEquals(await Deno.readLink(path), victim);
    await Deno.remove(path);
    await Deno.symlink(victim, `${path}.1`);
    await Deno.writeTextFile(path, "old");
    await makeRoom(path, 1, { maxBytes: 1, keep: 1 });
    assertEquals([await Deno.readTextFile(`${path}.1`), (await Deno.lstat(`${path}.1`)).isFile], ["old", true]);
  });
});

Deno.test("a symbolic link in place of a replaced file or of its draft is removed", async () => {
  await besideVictim(async (folder, victim) => {
    const path = `${folder}/gilly.prom`;
    for (const link of [path, `${path}.${Deno.pid}`]) {
      await Deno.symlink(victim, link);
      await files.writeAtomically(path, "text", 0o644);
      const { isFile, mode } = await Deno.lstat(path);
      assertEquals([isFile, mode! & 0o777, await Deno.readTextFile(path)], [true, 0o644, "text"]);
      await assertRejects(() => Deno.lstat(`${path}.${Deno.pid}`), Deno.errors.NotFound);
    }
  });
});

Deno.test("removing a symbolic link leaves its target", async () => {
  await besideVictim(async (folder, victim) => {
    await Deno.symlink(victim, `${folder}/link`);
    await files.removeFile(`${folder}/link`);
    await assertRejects(() => Deno.lstat(`${folder}/link`), Deno.errors.NotFound);
  });
});

Deno.test("a file that cannot be replaced leaves no draft", async () => {
  await inTemporaryFolder(async (folder) => {
    await Deno.mkdir(`${folder}/state.json`);
    const write = () => files.writeAtomically(`${folder}/state.json`, "{}");
    await assertRejects(write, Deno.errors.IsADirectory);
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["state.json"]);
  });
});
