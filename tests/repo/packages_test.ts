// The .deb and the .rpm: the same bytes wherever they are built, faultless by the rules of their
// distributions, and with the program as it was compiled.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { parse } from "@std/yaml";
import { PROJECT } from "../../tools/deno.ts";
import { makePackages } from "../../tools/packages.ts";
import type { PackageOptions } from "../../tools/packages/tree.ts";
import { missingPrograms } from "../e2e/engine.ts";
import { run as ran } from "../support/builds.ts";
import { inTemporaryFolder } from "../support/folder.ts";
import { GILLY, missingForBinary, testIfPossible } from "../support/requirements.ts";

const builders = missingPrograms(["dpkg-deb", "rpmbuild"]);

async function run(program: string, ...args: readonly string[]) {
  const { code, out, err } = await ran(program, args);
  return { code, out: out.trimEnd(), err };
}

/** Builds packages of a small program into a folder, which is made, and returns their paths. */
async function build(folder: string, options: Partial<PackageOptions> = {}): Promise<string[]> {
  await Deno.mkdir(folder, { recursive: true });
  const binary = `${folder}/program`;
  await Deno.writeTextFile(binary, "\x7fELF, and what deno compile appends");
  return await makePackages({
    binary,
    version: "1.2.0",
    architecture: "x64",
    directory: folder,
    quick: true,
    ...options,
  });
}

testIfPossible(
  "two builds in different folders, at different times, are the same to the byte",
  builders,
  () =>
    inTemporaryFolder(async (folder) => {
      const first = await build(`${folder}/one`);
      const second = Math.floor(Date.now() / 1000);
      const umask = Deno.umask(0o077);
      const temporary = `${folder}/a-longer/path`;
      await Deno.mkdir(temporary, { recursive: true });
      const usual = Deno.env.get("TMPDIR");
      Deno.env.set("TMPDIR", temporary);
      // The formats record seconds.
      while (Math.floor(Date.now() / 1000) === second) await delay(50);
      try {
        const other = await build(`${folder}/another`);
        assertEquals(first.length, 2);
        for (const [index, path] of first.entries()) {
          assertEquals((await run("cmp", path, other[index]!)).out, "");
        }
      } finally {
        Deno.umask(umask);
        if (usual === undefined) Deno.env.delete("TMPDIR");
        else Deno.env.set("TMPDIR", usual);
      }
    }),
);

testIfPossible(
  "for both formats, a candidate comes before its release",
  builders,
  () =>
    inTemporaryFolder(async (folder) => {
      const [deb = "", rpm = ""] = await build(folder, { version: "1.2.0-rc.1" });
      assertEquals(deb, `${folder}/gilly_1.2.0~rc.1_amd64.deb`);
      assertEquals(rpm, `${folder}/gilly-1.2.0~rc.1-1.x86_64.rpm`);
      assertEquals((await run("dpkg-deb", "--field", deb, "Version")).out, "1.2.0~rc.1");
      assertEquals((await run("rpm", "-qp", "--queryformat", "%{VERSION}", rpm)).out, "1.2.0~rc.1");
      assertEquals((await run("dpkg", "--compare-versions", "1.2.0~rc.1", "lt", "1.2.0")).code, 0);
    }),
);

Deno.test("where a builder is missing, one line says which package it is in", () =>
  inTemporaryFolder(async (folder) => {
    const path = Deno.env.get("PATH")!;
    await Deno.mkdir(`${folder}/bin`);
    await Deno.symlink("/bin/sh", `${folder}/bin/sh`);
    Deno.env.set("PATH", `${folder}/bin`);
    const said: string[] = [];
    try {
      const options = { binary: "x", version: "1", architecture: "x64", directory: folder } as const;
      assertEquals(await makePackages(options, (line: string) => said.push(line)), []);
    } finally {
      Deno.env.set("PATH", path);
    }
    assertEquals(said, [
      "no .deb: dpkg-deb is missing; install your distribution's package, such as Debian's dpkg",
      "no .rpm: rpmbuild is missing; install your distribution's package, such as Debian's rpm",
    ]);
  }));

testIfPossible(
  "lintian finds nothing and rpmlint no error, and the program is the compiled one to the byte",
  [...missingForBinary(), ...builders, ...missingPrograms(["lintian", "rpmlint", "cpio"])],
  () =>
    inTemporaryFolder(async (folder) => {
      const [deb = "", rpm = ""] = await build(folder, { binary: GILLY });
      const [lintian, rpmlint] = await Promise.all([
        run("lintian", "--no-cfg", "--allow-root", "--fail-on=error,warning", "--tag-display-limit=0", deb),
        run("rpmlint", "--config", `${PROJECT}tools/packages/rpmlint.toml`, rpm),
      ]);
      assertEquals([lintian.out, lintian.code], ["", 0]);
      assertMatch(rpmlint.out, / 0 errors, /);
      assertEquals(rpmlint.code, 0);
      for (
        const unpack of [
          'dpkg-deb --fsys-tarfile "$1" | tar -xO ./usr/bin/gilly | cmp - "$3"',
          'rpm2cpio "$2" | cpio --quiet -i --to-stdout ./usr/bin/gilly | cmp - "$3"',
        ]
      ) {
        assertEquals((await run("sh", "-c", unpack, "sh", deb, rpm, GILLY)).code, 0, unpack);
      }
    }),
);

Deno.test("the config that packages bring has only comments", async () => {
  const text = await Deno.readTextFile(`${PROJECT}systemd/config.package.yaml`);
  assertEquals(parse(text), null);
  assert(text.trimEnd().split("\n").every((line) => line.startsWith("#")));
});
