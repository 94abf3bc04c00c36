// Only pinned parts build the program: Deno, and for each architecture the runtime, wherever it is
// taken from.

import { assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { zipSync } from "fflate";
import { architectureOf, HOST } from "../../tools/architectures.ts";
import { checkPin, PartMissingError, PinError, sumOf, versionOf } from "../../tools/pins.ts";
import { findRuntime, namedRuntime, runtimeUrl } from "../../tools/runtime.ts";
import { elf, KEPT_RUNTIME, runtimePath } from "../support/builds.ts";
import { inTemporaryFolder } from "../support/folder.ts";
import { missingForBinary, testIfPossible } from "../support/requirements.ts";

Deno.test("a part with a wrong checksum is refused, and the message shows both checksums", () =>
  inTemporaryFolder(async (folder) => {
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

Deno.test("without a checksum for arm64 its runtime is refused in one line that says what to add", async () => {
  // arm64 has none; see CONTRIBUTING.md.
  const places = { named: "/nonexistent/denort", folder: "/nonexistent" };
  const { message } = await assertRejects(() => findRuntime("arm64", places), PartMissingError);
  assertEquals(
    message,
    `cannot build for arm64: tools/pins.json has no SHA-256 of denort ${versionOf("denort")} for ` +
      `aarch64-unknown-linux-gnu; unpack denort from ${runtimeUrl("arm64")}, check it, and add its sum there`,
  );
});

Deno.test("the environment names a runtime for each architecture, and DENORT_BIN this machine's", () => {
  const other = HOST === "x64" ? "arm64" : "x64";
  const names = ["DENORT_BIN", "DENORT_BIN_X64", "DENORT_BIN_ARM64"];
  const before = names.map((name) => [name, Deno.env.get(name)] as const);
  const set = (values: Readonly<Record<string, string | undefined>>) => {
    for (const name of names) {
      const value = values[name];
      value === undefined ? Deno.env.delete(name) : Deno.env.set(name, value);
    }
  };
  try {
    set({});
    assertEquals([namedRuntime(HOST), namedRuntime(other)], [undefined, undefined]);
    set({ DENORT_BIN: "/own", DENORT_BIN_X64: "" });
    assertEquals([namedRuntime(HOST), namedRuntime(other)], ["/own", undefined]);
    set({ DENORT_BIN: "/own", DENORT_BIN_X64: "/x64", DENORT_BIN_ARM64: "/arm64" });
    assertEquals([namedRuntime("x64"), namedRuntime("arm64")], ["/x64", "/arm64"]);
  } finally {
    set(Object.fromEntries(before));
  }
});

/** Runs `test` with a release server that gives this answer to the request for the runtime. */
async function withReleases(
  answer: () => Response,
  test: (places: { named: undefined; releases: string; folder: string }) => Promise<void>,
): Promise<void> {
  await inTemporaryFolder(async (folder) => {
    const asked: string[] = [];
    await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
      asked.push(new URL(request.url).pathname);
      return answer();
    });
    const releases = `http://127.0.0.1:${server.addr.port}`;
    await test({ named: undefined, releases, folder });
    assertEquals(asked, [new URL(runtimeUrl(HOST, releases)).pathname]);
  });
}

testIfPossible(
  "the runtime is downloaded once, checked, and kept",
  missingForBinary(),
  () =>
    withReleases(zipped, async (places) => {
      const path = await findRuntime(HOST, { ...places, folder: `${places.folder}/.deno` });
      assertEquals(path, `${places.folder}/.deno/${KEPT_RUNTIME}`);
      assertEquals((await Deno.stat(path)).mode! & 0o777, 0o755);
      // It is not downloaded again.
      assertEquals(await findRuntime(HOST, { ...places, folder: `${places.folder}/.deno` }), path);
      await Deno.writeTextFile(path, "exchanged");
      await assertRejects(
        () => findRuntime(HOST, { ...places, folder: `${places.folder}/.deno` }),
        PinError,
        "it is not the pinned denort",
      );
    }),
);

function zipped(): Response {
  return new Response(zipSync({ denort: [Deno.readFileSync(runtimePath()), { level: 0 }] }) as Uint8Array<ArrayBuffer>);
}

const REFUSALS: Readonly<Record<string, readonly [() => Response, string]>> = {
  "another runtime": [
    () => new Response(zipSync({ denort: new Uint8Array([1, 2, 3]) }) as Uint8Array<ArrayBuffer>),
    "it is not the pinned runtime",
  ],
  "a web page": [
    () => new Response("<html>sign in</html>"),
    `cannot download the compile runtime for ${HOST}: invalid zip data`,
  ],
  "404": [() => new Response("not here", { status: 404 }), "answered 404"],
};

for (const [what, [answer, said]] of Object.entries(REFUSALS)) {
  Deno.test(`a release server that answers ${what} gives no runtime, and the error is one line that says what to do`, () =>
    withReleases(answer, async (places) => {
      const { message } = await assertRejects(() => findRuntime(HOST, places), PinError);
      assertStringIncludes(message, said);
      assertStringIncludes(message, `unpack denort from ${runtimeUrl(HOST, places.releases)} and set DENORT_BIN=`);
      assertEquals(message.includes("\n"), false);
      assertEquals([...Deno.readDirSync(places.folder)], []);
    }));
}

Deno.test("the header of an executable tells its architecture, and a script has none", () =>
  inTemporaryFolder(async (folder) => {
    const file = `${folder}/gilly`;
    const of = async (bytes: Uint8Array | string) => {
      await Deno.writeFile(file, typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes);
      return architectureOf(file);
    };
    assertEquals([await of(elf(62)), await of(elf(183)), await of(elf(40))], ["x64", "arm64", undefined]);
    assertEquals([await of(elf(62).slice(0, 19)), await of("#!/bin/sh\nexec deno run\n")], [undefined, undefined]);
    const bigEndian = elf(62);
    bigEndian[5] = 2;
    assertEquals(await of(bigEndian), undefined);
    assertEquals(architectureOf(Deno.execPath()), HOST);
  }));
