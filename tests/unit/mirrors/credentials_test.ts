// Tests lib/mirrors/credentials.ts: when a file is read again, and what cannot be read.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { AuthLookup } from "../../../lib/mirrors/auth_entries.ts";
import { AuthFile, boundByKeys } from "../../../lib/mirrors/credentials.ts";
import { inTemporaryFolder } from "../../support/folder.ts";

const MIRROR = "mirror.example:5000";
const IMAGE = `${MIRROR}/team/app:1`;

function problemOf(found: AuthLookup): string {
  assert("problem" in found, "credentials were found");
  return found.problem;
}

function withFile(test: (path: string) => Promise<void>): Promise<void> {
  return inTemporaryFolder((folder) => test(`${folder}/auth.json`));
}

function configWith(password: string): string {
  return JSON.stringify({ auths: { [MIRROR]: { username: "gilly", password } } });
}

Deno.test("a file is read again after it was written, and not before", async () => {
  await withFile(async (path) => {
    const file = new AuthFile(path, MIRROR);
    await Deno.writeTextFile(path, configWith("one"));
    assertEquals(await file.read(IMAGE), { auth: { username: "gilly", password: "one" } });
    const { mtime, size } = await Deno.stat(path);
    await Deno.writeTextFile(path, configWith("two"));
    await Deno.utime(path, mtime!, mtime!);
    assertEquals((await Deno.stat(path)).size, size);
    assertEquals(await file.read(IMAGE), { auth: { username: "gilly", password: "one" } }, "it was read again");
    await Deno.writeTextFile(path, configWith("longer than before"));
    assertEquals(await file.read(IMAGE), { auth: { username: "gilly", password: "longer than before" } });
  });
});

Deno.test("a file that was replaced by one of the same size and time is read again", async () => {
  await withFile(async (path) => {
    const file = new AuthFile(path, MIRROR);
    const time = new Date("2020-05-16T01:11:53Z");
    for (const password of ["one", "two"]) {
      await Deno.writeTextFile(`${path}.${password}`, configWith(password));
      await Deno.utime(`${path}.${password}`, time, time);
      await Deno.rename(`${path}.${password}`, path);
      assertEquals(await file.read(IMAGE), { auth: { username: "gilly", password } });
    }
  });
});

Deno.test("a file that disappears and returns is read again", async () => {
  await withFile(async (path) => {
    const file = new AuthFile(path, MIRROR);
    assertStringIncludes(problemOf(await file.read(IMAGE)), `cannot read ${path}: `);
    await Deno.writeTextFile(path, configWith("one"));
    assertEquals(await file.read(IMAGE), { auth: { username: "gilly", password: "one" } });
    await Deno.remove(path);
    assertStringIncludes(problemOf(await file.read(IMAGE)), `cannot read ${path}: No such file`);
    await Deno.writeTextFile(path, configWith("one"));
    assertEquals(await file.read(IMAGE), { auth: { username: "gilly", password: "one" } });
  });
});

Deno.test("a file that becomes invalid is a problem, and its old credentials are not used", async () => {
  await withFile(async (path) => {
    const file = new AuthFile(path, MIRROR);
    await Deno.writeTextFile(path, configWith("one"));
    await file.read(IMAGE);
    await Deno.writeTextFile(path, configWith("one").slice(0, -1));
    assertStringIncludes(problemOf(await file.read(IMAGE)), `${path} is not JSON: `);
    assertStringIncludes(problemOf(file.last(IMAGE)!), `${path} is not JSON: `);
  });
});

Deno.test("the credentials of each image are looked up in what was read last", async () => {
  await withFile(async (path) => {
    const file = new AuthFile(path, MIRROR);
    assertEquals(file.last(IMAGE), undefined);
    const [team, all] = [{ username: "team", password: "a" }, { username: "all", password: "b" }];
    await Deno.writeTextFile(path, JSON.stringify({ auths: { [MIRROR]: all, [`${MIRROR}/team`]: team } }));
    assertEquals(await file.read(IMAGE), { auth: team });
    assertEquals(await file.read(`${MIRROR}/app:1`), { auth: all });
    assertEquals(file.last(IMAGE), { auth: team });
  });
});

/** What may be in the place of the file, and what the problem says of it. */
const PLACES: readonly (readonly [string, (path: string) => Promise<unknown>, string])[] = [
  ["nothing", () => Promise.resolve(), ": No such file"],
  ["a link to nothing", (path) => Deno.symlink(`${path}.missing`, path), ": No such file"],
  ["a link to itself", (path) => Deno.symlink(path, path), ": Too many levels of symbolic links"],
  ["a named pipe", (path) => new Deno.Command("mkfifo", { args: [path] }).output(), " is not a regular file"],
  ["a file of 2 MiB", (path) => Deno.writeTextFile(path, " ".repeat(2 * 1024 * 1024)), " is larger than 1 MiB"],
];

for (const [name, place, problem] of PLACES) {
  Deno.test(`${name} in place of the file is a problem, and the command for it works`, async () => {
    await withFile(async (path) => {
      await place(path);
      const file = new AuthFile(path, MIRROR);
      const found = await file.read(IMAGE);
      assert("problem" in found);
      assertStringIncludes(found.problem, path + problem);
      const command = found.remedy.replace(/^(?:create|replace) it: /, "");
      const { success } = await new Deno.Command("sh", { args: ["-c", command] }).output();
      assert(success, command);
      assertEquals(await file.read(IMAGE), { auth: { username: "USER", password: "PASSWORD" } });
    });
  });
}

Deno.test("a directory in place of the file is a problem, and stays", async () => {
  await withFile(async (path) => {
    await Deno.mkdir(path);
    const remedy = `set mirrors."${MIRROR}".authFile to a file in it`;
    assertEquals(await new AuthFile(path, MIRROR).read(IMAGE), { problem: `${path} is a directory`, remedy });
  });
});

Deno.test("the paths of a file's keys bound the settings that have no authPaths", async () => {
  await withFile(async (authFile) => {
    const auths = {
      "a.example/one": {},
      "a.example/two/three": {},
      "a.example/TWO": {},
      "a.example/{x}": {},
      "a.example/*": {},
      "b.example": {},
    };
    await Deno.writeTextFile(authFile, JSON.stringify({ auths }));
    const missing = { authFile: `${authFile}.missing` };
    const given = {
      "a.example": { authFile },
      "b.example": { authFile },
      "c.example": { authFile },
      "d.example": missing,
      "e.example": {},
      "f.example": { authFile, authPaths: ["x"] },
    };
    const expected = { ...given, "a.example": { authFile, authPaths: ["two/three/**", "one/**"] } };
    assertEquals(await boundByKeys(given), expected);
  });
});
