// The files of a release: an archive that is complete for its reader, SHA256SUMS, and its signature.

import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { ARCHITECTURES, HOST } from "../../tools/architectures.ts";
import { PROJECT } from "../../tools/deno.ts";
import { FILES } from "../../tools/files.ts";
import { makeRelease } from "../../tools/release.ts";
import { SIGNATURE, SigningError, signSums, SUMS, writeSums } from "../../tools/sums.ts";
import { missingPrograms } from "../e2e/engine.ts";
import { checkout, elf, mustRun, pinRuntime, run, runtimePath } from "../support/builds.ts";
import { inTemporaryFolder } from "../support/folder.ts";
import { missingForBinary, testIfPossible } from "../support/requirements.ts";

Deno.test("an archive is named after its binary's architecture, and tells what the binary is made of", () =>
  inTemporaryFolder(async (folder) => {
    await Deno.writeFile(`${folder}/gilly`, elf(ARCHITECTURES[HOST].elfMachine));
    const archive = await makeRelease({ binary: `${folder}/gilly`, version: "1.2.3", directory: folder });
    assertEquals(archive, `${folder}/gilly-1.2.3-linux-${HOST}.tar.gz`);
    await mustRun("tar", ["-C", folder, "-xzf", archive]);
    await isComplete(`${folder}/gilly-1.2.3-linux-${HOST}`);
  }));

async function isComplete(folder: string): Promise<void> {
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

Deno.test("every page and unit of the project is in the archive, and what a fleet needs", async () => {
  const left: string[] = [];
  const visit = async (folder: string, below: boolean) => {
    for await (const { name, isFile } of Deno.readDir(PROJECT + folder)) {
      const file = `${folder}/${name}`;
      if (isFile && !name.endsWith(".ts") && !FILES.includes(file)) left.push(file);
      if (!isFile && below) await visit(file, below);
    }
  };
  for (const folder of ["docs", "docs/monitoring", "systemd"]) await visit(folder, false);
  await visit("contrib", true);
  assertEquals(left, ["systemd/config.package.yaml"], "which packages alone have");
});

Deno.test("a script in place of the binary cannot be released", () =>
  inTemporaryFolder(async (folder) => {
    const binary = `${folder}/gilly`;
    await Deno.writeTextFile(binary, "#!/bin/sh\n");
    await assertRejects(
      () => makeRelease({ binary, version: "1", directory: folder }),
      Error,
      `cannot release ${binary}: it is not a compiled binary; run deno task compile`,
    );
  }));

Deno.test("SHA256SUMS has a line for each file of a release, and takes the place of an older, signed one", () =>
  inTemporaryFolder(async (folder) => {
    for (const name of ["b.tar.gz", "a.deb", "old.rpm"]) await Deno.writeTextFile(`${folder}/${name}`, name);
    await Deno.writeTextFile(`${folder}/${SUMS}`, "older\n");
    await Deno.writeTextFile(`${folder}/${SIGNATURE}`, "of the older one\n");
    const sums = await writeSums(folder, [`${folder}/b.tar.gz`, `${folder}/a.deb`]);
    assertEquals(sums, `${folder}/SHA256SUMS`);
    assertEquals(
      await Deno.readTextFile(sums),
      await mustRun("sha256sum", ["a.deb", "b.tar.gz"], { cwd: folder }),
    );
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name).includes(SIGNATURE), false);
  }));

const NO_KEYGEN = missingPrograms(["ssh-keygen"]);

/** Makes a list to sign and a key `key` in a folder. */
async function toSign(folder: string): Promise<void> {
  await Deno.writeTextFile(`${folder}/a.deb`, "a");
  await writeSums(folder, [`${folder}/a.deb`]);
  await mustRun("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", `${folder}/key`]);
}

testIfPossible(
  "a signature is made anew, and its key's fingerprint is told",
  NO_KEYGEN,
  () =>
    inTemporaryFolder(async (folder) => {
      await toSign(folder);
      // ssh-keygen would ask about this one, keep it, and report success.
      await Deno.writeTextFile(`${folder}/${SIGNATURE}`, "older\n");
      const fingerprint = (await mustRun("ssh-keygen", ["-l", "-f", `${folder}/key.pub`])).split(" ")[1];
      assertEquals(
        await signSums(folder, `${folder}/key`),
        `Good "gilly-release" signature with ED25519 key ${fingerprint}`,
      );
      assertMatch(await Deno.readTextFile(`${folder}/${SIGNATURE}`), /^-----BEGIN SSH SIGNATURE-----\n/);
    }),
);

testIfPossible(
  "a public key signs by ssh-agent",
  missingPrograms(["ssh-keygen", "ssh-agent", "ssh-add"]),
  () =>
    inTemporaryFolder(async (folder) => {
      await toSign(folder);
      const sign = `import { signSums } from ${JSON.stringify(`file://${PROJECT}tools/sums.ts`)};
      console.log(await signSums(${JSON.stringify(folder)}, ${JSON.stringify(`${folder}/key.pub`)}));`;
      const script = 'ssh-add -q "$1/key" && rm "$1/key" && exec "$2" eval "$3"';
      // The agent ends some seconds after the command.
      const args = ["-a", `${folder}/agent`, "sh", "-c", script, "sh", folder, Deno.execPath(), sign];
      assertMatch(await mustRun("ssh-agent", args, { cwd: PROJECT }), /^Good "gilly-release" signature /);
    }),
);

testIfPossible(
  "a public key without its private half cannot sign, and leaves no signature",
  NO_KEYGEN,
  () =>
    inTemporaryFolder(async (folder) => {
      await toSign(folder);
      await Deno.remove(`${folder}/key`);
      const key = `${folder}/key.pub`;
      const { message } = await assertRejects(() => signSums(folder, key), SigningError);
      assertEquals(
        message,
        `cannot sign the release with ${key}: No private key found for public key "${key}"; ` +
          "expected a private key, or a public key whose private half is in ssh-agent",
      );
      await assertRejects(() => Deno.stat(`${folder}/${SIGNATURE}`), Deno.errors.NotFound);
    }),
);

/** Runs the task; it must fail before it builds anything. */
async function refused(...args: string[]): Promise<string> {
  const { code, out, err } = await run(
    Deno.execPath(),
    ["run", "--allow-all", "tools/release.ts", ...args],
    { cwd: PROJECT, env: { GILLY_SIGNING_KEY: "", DENORT_BIN_ARM64: "" } },
  );
  assertEquals([code, out], [1, ""]);
  return err;
}

Deno.test("a command line with a mistake builds nothing, and says what is expected", async () => {
  const mistakes: Readonly<Record<string, readonly string[]>> = {
    'unknown architecture "mips"; expected x64 or arm64': ["--arch", "x64", "--arch", "mips"],
    // As a script writes it whose variable is not set: the release must not go out unsigned.
    "--sign needs the path of a key": ["--sign", ""],
    'unknown argument "--arhc"': ["--arhc", "arm64"],
    'unknown argument "arm64"': ["arm64"],
  };
  for (const [said, args] of Object.entries(mistakes)) {
    const [first, ...usage] = (await refused(...args)).split("\n");
    assertEquals(first, said);
    assertMatch(usage.join("\n"), /^\nusage: deno task release \[--arch x64\|arm64\]\.\.\. \[--sign KEY\]\n/);
  }
  assertEquals(
    await refused("--sign", "/nonexistent/key"),
    "cannot sign the release with /nonexistent/key: it does not exist\n",
  );
});

Deno.test("without a runtime for one architecture nothing is built, and one line says what is missing", async () => {
  // The runtime of this machine comes later on the command line, and is not looked for any more.
  const err = await refused("--arch", "arm64", "--arch", "x64");
  assertMatch(
    err,
    /^cannot build for arm64: tools\/pins\.json has no SHA-256 of denort [\d.]+ for aarch64-unknown.*\n$/,
  );
});

testIfPossible(
  "a runtime that is pinned for an architecture it is not for is refused",
  missingForBinary(),
  () =>
    inTemporaryFolder(async (folder) => {
      const other = HOST === "x64" ? "arm64" : "x64";
      await checkout(`${folder}/project`);
      await pinRuntime(`${folder}/project`, other, runtimePath());
      const args = ["run", "--allow-all", "tools/release.ts", "--arch", other];
      const env = { [`DENORT_BIN_${other.toUpperCase()}`]: runtimePath() };
      const { code, out, err } = await run(Deno.execPath(), args, { cwd: `${folder}/project`, env });
      assertEquals([code, out], [1, ""]);
      const binary = `${folder}/project/dist/gilly-${other}`;
      assertEquals(err, `cannot release ${binary}: the runtime that tools/pins.json names is not for ${other}\n`);
    }),
);
