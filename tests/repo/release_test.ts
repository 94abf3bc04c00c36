// The build of the program and its release: only pinned parts, reproducible to the byte, and
// complete for a reader of the archive.

import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { zipSync } from "fflate";
import manifest from "../../deno.json" with { type: "json" };
import { PROJECT } from "../../tools/deno.ts";
import { checkPin, PinError, sumOf, versionOf } from "../../tools/pins.ts";
import { FILES, makeRelease } from "../../tools/release.ts";
import { findRuntime, runtimeUrl } from "../../tools/runtime.ts";
import { missingForBinary, testIfPossible } from "../support/requirements.ts";

const OTHERS = ["tests", ".ci"];

async function inFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "gilly-build-" });
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function run(program: string, args: readonly string[], options: Deno.CommandOptions = {}) {
  const { code, stdout, stderr } = await new Deno.Command(program, { ...options, args: [...args] }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}

/** Copies everything that a build reads into a new folder. */
async function checkout(folder: string): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  const excluded = [...OTHERS, ".git", ".deno", "dist"].map((name) => `--exclude=./${name}`);
  const archive = `${folder}.tar`;
  const packed = await run("tar", ["-C", PROJECT, ...excluded, "-cf", archive, "."]);
  assertEquals(packed.code, 0, packed.err);
  assertEquals((await run("tar", ["-C", folder, "-xf", archive])).code, 0);
}

/** Builds a release in a folder and returns its archive. */
async function build(folder: string): Promise<Uint8Array> {
  await checkout(folder);
  for (const tool of ["compile", "release"]) {
    const { code, err } = await run(Deno.execPath(), ["run", "--allow-all", `tools/${tool}.ts`], { cwd: folder });
    assertEquals(code, 0, err);
  }
  return await Deno.readFile(`${folder}/dist/gilly-${manifest.version}-linux-x64.tar.gz`);
}

testIfPossible(
  "two checkouts in different folders produce identical archives",
  missingForBinary(),
  () =>
    inFolder(async (folder) => {
      const first = await build(`${folder}/one`);
      const second = await build(`${folder}/a/longer/path/to/another`);
      assertEquals(first.length, second.length);
      assert(first.every((byte, index) => byte === second[index]));
      await Deno.writeFile(`${folder}/release.tar.gz`, first);
      await readsWell(`${folder}/release.tar.gz`, folder);
    }),
);

async function readsWell(archive: string, folder: string): Promise<void> {
  assertEquals((await run("tar", ["-C", folder, "--strip-components=1", "-xzf", archive])).code, 0);
  for (const file of ["gilly", ...FILES]) assert((await Deno.stat(`${folder}/${file}`)).isFile, file);
  const sbom = JSON.parse(await Deno.readTextFile(`${folder}/sbom.cdx.json`));
  assertEquals([sbom.bomFormat, sbom.specVersion], ["CycloneDX", "1.5"]);
  const names = sbom.components.map(({ name }: { name: string }) => name);
  assertEquals(names.filter((name: string) => ["deno-std", "zod", "prom-client", "denort"].includes(name)), [
    "deno-std",
    "denort",
    "prom-client",
    "zod",
  ]);
  assertEquals(names.includes("fast-check"), false, "what only tests use is not in the binary");
  const notices = await Deno.readTextFile(`${folder}/THIRD-PARTY-NOTICES`);
  for (const { name, version, hashes } of sbom.components) {
    assertStringIncludes(notices, `${name} ${version} (`);
    assertMatch(hashes[0].content, /^(?:[0-9a-f]{64}|[0-9a-f]{128})$/);
  }
}

Deno.test("every page and unit of the project is in the archive", async () => {
  const left: string[] = [];
  for (const folder of ["docs", "docs/monitoring", "systemd"]) {
    for await (const { name, isFile } of Deno.readDir(PROJECT + folder)) {
      const file = `${folder}/${name}`;
      if (isFile && !name.endsWith(".ts") && !FILES.includes(file)) left.push(file);
    }
  }
  assertEquals(left, ["systemd/config.package.yaml"], "which packages alone have");
});

Deno.test("a script in place of the binary cannot be released", () =>
  inFolder(async (folder) => {
    const binary = `${folder}/gilly`;
    await Deno.writeTextFile(binary, "#!/bin/sh\n");
    await assertRejects(
      () => makeRelease({ binary, version: "1", directory: folder }),
      Error,
      `cannot release ${binary}: it is not a compiled binary; run deno task compile`,
    );
  }));

Deno.test("a part with a wrong checksum is refused, and the message shows both checksums", () =>
  inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/deno`, "another Deno");
    const error = await assertRejects(() => checkPin("deno", `${folder}/deno`), PinError);
    assertEquals(
      error.message,
      `cannot use ${folder}/deno: it is not the pinned deno ${versionOf("deno")}; expected SHA-256 ${sumOf("deno")}, ` +
        "got d8593881b947bdbb6973025102c3ac8374ef5753bbe7b3a0448749a524b835b2",
    );
  }));

Deno.test("a platform without a checksum is refused, and so is a missing part", async () => {
  assertEquals(
    (await assertRejects(async () => void await sumOf("denort", "riscv64gc-unknown-linux-gnu"), PinError)).message,
    "cannot build for riscv64gc-unknown-linux-gnu: tools/pins.json has no sum of denort for it",
  );
  assertMatch(
    (await assertRejects(() => checkPin("deno", "/nonexistent/deno"), PinError)).message,
    /^cannot read \/nonexistent\/deno: No such file or directory/,
  );
});

/** Runs `test` with a release server that gives this answer to the request for the runtime. */
async function withReleases(
  answer: () => Response,
  test: (releases: string, folder: string) => Promise<void>,
): Promise<void> {
  await inFolder(async (folder) => {
    const asked: string[] = [];
    await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
      asked.push(new URL(request.url).pathname);
      return answer();
    });
    const releases = `http://127.0.0.1:${server.addr.port}`;
    await test(releases, folder);
    assertEquals(asked, [new URL(runtimeUrl(releases)).pathname]);
  });
}

testIfPossible(
  "the runtime is downloaded once, checked, and kept",
  missingForBinary(),
  () =>
    withReleases(zipped, async (releases, folder) => {
      const path = await findRuntime(undefined, `${folder}/.deno`, releases);
      assertEquals(path, `${folder}/.deno/denort-${versionOf("denort")}`);
      assertEquals((await Deno.stat(path)).mode! & 0o777, 0o755);
      // It is not downloaded again.
      assertEquals(await findRuntime(undefined, `${folder}/.deno`, releases), path);
      await Deno.writeTextFile(path, "exchanged");
      await assertRejects(
        () => findRuntime(undefined, `${folder}/.deno`, releases),
        PinError,
        "it is not the pinned denort",
      );
    }),
);

function zipped(): Response {
  const named = Deno.env.get("DENORT_BIN") ?? `${PROJECT}.deno/denort-${versionOf("denort")}`;
  return new Response(zipSync({ denort: [Deno.readFileSync(named), { level: 0 }] }) as Uint8Array<ArrayBuffer>);
}

const REFUSALS: Readonly<Record<string, readonly [() => Response, string]>> = {
  "another runtime": [
    () => new Response(zipSync({ denort: new Uint8Array([1, 2, 3]) }) as Uint8Array<ArrayBuffer>),
    "it is not the pinned runtime",
  ],
  "a web page": [() => new Response("<html>sign in</html>"), "cannot download the compile runtime: invalid zip data"],
  "404": [() => new Response("not here", { status: 404 }), "answered 404"],
};

for (const [what, [answer, said]] of Object.entries(REFUSALS)) {
  Deno.test(`a release server that answers ${what} gives no runtime, and the error is one line that says what to do`, () =>
    withReleases(answer, async (releases, folder) => {
      const { message } = await assertRejects(() => findRuntime(undefined, folder, releases), PinError);
      assertStringIncludes(message, said);
      assertStringIncludes(message, `unpack denort from ${runtimeUrl(releases)} and set DENORT_BIN=`);
      assertEquals(message.includes("\n"), false);
      assertEquals([...Deno.readDirSync(folder)], []);
    }));
}
