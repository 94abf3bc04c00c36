// Runs each command of docs/verify.md: on a release that is as it was signed, on one that was
// changed in each way of its table, and on a build of a tag and its rebuild.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import manifest from "../../deno.json" with { type: "json" };
import { ARCHITECTURES, HOST } from "../../tools/architectures.ts";
import { writeStandIn } from "../../tools/compile.ts";
import { deno } from "../../tools/deno.ts";
import { sha256Of, versionOf } from "../../tools/pins.ts";
import { makeRelease } from "../../tools/release.ts";
import { NAMESPACE, SIGNATURE, signSums, SUMS, writeSums } from "../../tools/sums.ts";
import { missingPrograms } from "../e2e/engine.ts";
import { checkout, elf, mustRun, pinRuntime, type Ran, run, runtimePath } from "../support/builds.ts";
import { inTemporaryFolder } from "../support/folder.ts";
import { blockBehind, readPage } from "../support/pages.ts";
import { missingForBinary, testIfPossible } from "../support/requirements.ts";

const PAGE = readPage("docs/verify.md");

/** The commands of the page, each block after the paragraph with these words. */
const PIN = blockBehind(PAGE, "A signature proves");
const VERIFY = blockBehind(PAGE, "## Each time");
const SAID = blockBehind(PAGE, "prints, and exits with 0:");
const REBUILD = blockBehind(PAGE, "Builds are reproducible");
const INSIDE = blockBehind(PAGE, "`sbom.cdx.json` (CycloneDX)");
const SIGN = blockBehind(PAGE, "A fork, or a fleet that builds for itself");

const archiveOf = (architecture: string) => `gilly-${manifest.version}-linux-${architecture}.tar.gz`;
const ARCHIVE = archiveOf("x64");

/** Runs commands of the page as a person does who has these files. */
function inShell(commands: string, cwd: string, env: Record<string, string> = {}): Promise<Ran> {
  return run("sh", ["-c", commands], { cwd, env: { LC_ALL: "C", ...env } });
}

async function makeKey(path: string): Promise<void> {
  await mustRun("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", path]);
}

/** Puts a signed release into a folder, without a program in it, and pins its key there. */
async function makeFiles(folder: string): Promise<void> {
  await Deno.writeFile(`${folder}/gilly`, elf(ARCHITECTURES.x64.elfMachine));
  const archive = await makeRelease({ binary: `${folder}/gilly`, version: manifest.version, directory: folder });
  await Deno.remove(`${folder}/gilly`);
  assertEquals(archive, `${folder}/${ARCHIVE}`);
  // The list names more than most people download.
  const other = `${folder}/${archiveOf("arm64")}`;
  await Deno.writeTextFile(other, "the other architecture's");
  await writeSums(folder, [archive, other]);
  await Deno.remove(other);
  await makeKey(`${folder}/gilly-release`);
  await signSums(folder, `${folder}/gilly-release`);
  assertEquals((await inShell(PIN, folder)).code, 0);
}

const NO_KEYGEN = missingPrograms(["ssh-keygen"]);

testIfPossible(
  "the page's commands accept a release as it was signed, and print what the page says",
  NO_KEYGEN,
  () =>
    inTemporaryFolder(async (folder) => {
      await makeFiles(folder);
      const { code, out, err } = await inShell(VERIFY, folder);
      assertEquals([code, err], [0, ""]);
      assertEquals(out.replace(/SHA256:\S+/, "SHA256:…"), SAID);
      const pinned = await inShell(PIN, folder);
      assertStringIncludes(pinned.out, / (SHA256:\S+)/.exec(out)![1]!, "the fingerprint that a person compares");
    }),
);

/** Flips one bit in the middle of a file; in a signature, only its line breaks would not count. */
async function flip(file: string): Promise<void> {
  const bytes = await Deno.readFile(file);
  const middle = bytes.length >> 1;
  bytes[middle] = bytes[middle]! ^ 1;
  await Deno.writeFile(file, bytes);
}

/** Signs the list of a folder with a key in it, for a purpose. */
async function sign(folder: string, key: string, namespace: string): Promise<void> {
  await Deno.remove(`${folder}/${SIGNATURE}`);
  await mustRun("ssh-keygen", ["-Y", "sign", "-n", namespace, "-f", `${folder}/${key}`, `${folder}/${SUMS}`]);
}

/** The changes of the page's table, by its first column. */
const CHANGES: Readonly<Record<string, (folder: string) => Promise<void>>> = {
  "one byte of an archive or a package": (folder) => flip(`${folder}/${ARCHIVE}`),
  "the name of every file": (folder) => Deno.rename(`${folder}/${ARCHIVE}`, `${folder}/gilly-latest.tar.gz`),
  "one byte of `SHA256SUMS`": (folder) => flip(`${folder}/${SUMS}`),
  "one byte of `SHA256SUMS.sig`": (folder) => flip(`${folder}/${SIGNATURE}`),
  async "the key: signed with another one"(folder) {
    await makeKey(`${folder}/other`);
    await sign(folder, "other", NAMESPACE);
  },
  "the purpose: signed as anything else": (folder) => sign(folder, "gilly-release", "git"),
  "nothing, but `SHA256SUMS.sig` is not there": (folder) => Deno.remove(`${folder}/${SIGNATURE}`),
};

const ROWS = [...PAGE.matchAll(/^\| (.*?) +\| `(.*?)` +\| (\d+) +\|$/gm)].map(([, change = "", said = "", code]) => ({
  change,
  said,
  code: Number(code),
}));

Deno.test("the page's table has every change that is tried, and no other", () => {
  assertEquals(ROWS.map(({ change }) => change), Object.keys(CHANGES));
});

for (const { change, said, code } of ROWS) {
  testIfPossible(
    `a release is refused after a change of ${change}`,
    NO_KEYGEN,
    () =>
      inTemporaryFolder(async (folder) => {
        await makeFiles(folder);
        await CHANGES[change]!(folder);
        const refused = await inShell(VERIFY, folder);
        assertEquals(refused.code, code);
        assertStringIncludes(refused.out + refused.err, said);
        assertEquals(refused.out.includes(": OK"), false);
      }),
  );
}

/** Where commands of the page find the project's Deno, and a passphrase without a person. */
async function environment(folder: string): Promise<Record<string, string>> {
  await Deno.mkdir(`${folder}/bin`);
  await Deno.symlink(Deno.execPath(), `${folder}/bin/deno`);
  await Deno.writeTextFile(`${folder}/bin/passphrase`, "#!/bin/sh\necho a passphrase of its own\n", { mode: 0o755 });
  const { denoDir } = JSON.parse(await deno(["info", "--json"])) as { denoDir: string };
  return {
    PATH: `${folder}/bin:${Deno.env.get("PATH")}`,
    DENO_DIR: denoDir,
    SSH_ASKPASS: `${folder}/bin/passphrase`,
    SSH_ASKPASS_REQUIRE: "force",
    GILLY_SIGNING_KEY: "",
    GILLY_QUICK_PACKAGES: "yes",
  };
}

/**
 * Writes a runtime of the other architecture, by its header alone, and pins it in a checkout.
 * Returns its path.
 */
async function pinOther(project: string, path: string): Promise<string> {
  const runtime = await Deno.readFile(runtimePath());
  new DataView(runtime.buffer).setUint16(18, ARCHITECTURES.arm64.elfMachine, true);
  await Deno.writeFile(path, runtime);
  await pinRuntime(project, "arm64", path);
  return path;
}

/** Makes a repository of what is in a folder, with the tag that the page clones. */
async function tag(project: string): Promise<void> {
  const git = (...args: string[]) =>
    mustRun("git", ["-C", project, "-c", "user.name=Test", "-c", "user.email=test@example.com", ...args]);
  await git("init", "--quiet");
  await git("add", "--all");
  await git("commit", "--quiet", "--message", "a release");
  await git("tag", `v${manifest.version}`);
}

const PACKAGES = ["amd64", "arm64"].map((name) => `gilly_${manifest.version}_${name}.deb`)
  .concat(["x86_64", "aarch64"].map((name) => `gilly-${manifest.version}-1.${name}.rpm`));

const missing = [
  ...missingForBinary(),
  ...missingPrograms(["ssh-keygen", "git", "jq", "dpkg-deb", "rpmbuild"]),
  ...(HOST === "x64" ? [] : ["an x86_64 machine"]),
];

testIfPossible(
  "a signed release of a tag is built again to the byte, by the page's commands",
  missing,
  () =>
    inTemporaryFolder(async (folder) => {
      const [project, files] = [`${folder}/a/longer/path/to/the/project`, `${folder}/files`];
      await checkout(project);
      const env = { ...await environment(folder), DENORT_BIN_ARM64: await pinOther(project, `${folder}/denort`) };
      await tag(project);
      // A test run without a runtime leaves a script in the place of the binary.
      await Deno.mkdir(`${project}/dist`);
      await writeStandIn(`${project}/dist/gilly`);
      const inHome = SIGN.replaceAll("~/.ssh", folder);
      assertMatch(inHome, / --arch x64 /);
      const signed = await inShell(`set -e\n${inHome.replace("--arch x64", "--arch x64 --arch arm64")}`, project, env);
      assertEquals(signed.code, 0, signed.err);
      assertMatch(signed.out, /Good "gilly-release" signature with ED25519 key SHA256:\S+\n$/);

      await Deno.mkdir(files);
      const names: readonly string[] = (await Deno.readTextFile(`${project}/dist/${SUMS}`)).match(/\S+$/gm) ?? [];
      assertEquals([ARCHIVE, archiveOf("arm64"), ...PACKAGES].filter((name) => !names.includes(name)), []);
      for (const name of [...names, SUMS, SIGNATURE]) {
        await Deno.copyFile(`${project}/dist/${name}`, `${files}/${name}`);
      }
      await Deno.copyFile(`${folder}/gilly-release.pub`, `${files}/gilly-release.pub`);
      const { code, out } = await inShell(`set -e\n${PIN}${VERIFY}`, files);
      assertEquals(code, 0);
      assertEquals(verified(out), names);

      const rebuilt = await inShell(`set -e\n${REBUILD.replace("URL", project)}`, files, env);
      assertEquals(rebuilt.code, 0, rebuilt.err);
      assertStringIncludes(rebuilt.out, "this release is not signed: no --sign KEY and no GILLY_SIGNING_KEY\n");
      assertEquals(verified(rebuilt.out), names.filter((name) => !/arm64|aarch64/.test(name)));
      await isFor(files, "x64");
      await isFor(files, "arm64");
    }),
);

/** Returns the files that `sha256sum -c` found to be as they should. */
function verified(out: string): string[] {
  return out.match(/^\S+(?=: OK$)/gm) ?? [];
}

/** Checks the binary and the list of parts in an archive, and what the packages say of themselves. */
async function isFor(files: string, architecture: "x64" | "arm64"): Promise<void> {
  const parts = (await inShell(INSIDE.replaceAll("x64", architecture), files)).out;
  assertMatch(parts, new RegExp(`^denort ${versionOf("denort")} MIT$`, "m"));
  const inside = `gilly-${manifest.version}-linux-${architecture}`;
  await mustRun("tar", ["-xzf", `${inside}.tar.gz`], { cwd: files });
  const { debian, rpm } = ARCHITECTURES[architecture];
  const deb = `gilly_${manifest.version}_${debian}.deb`;
  assertEquals(await mustRun("dpkg-deb", ["--field", deb, "Architecture"], { cwd: files }), `${debian}\n`);
  assertEquals(
    await mustRun("rpm", ["-qp", "--queryformat", "%{ARCH} %{OS}", `gilly-${manifest.version}-1.${rpm}.rpm`], {
      cwd: files,
    }),
    `${rpm} linux`,
  );
  const header = new DataView((await Deno.readFile(`${files}/${inside}/gilly`)).buffer);
  assertEquals(header.getUint16(18, true), ARCHITECTURES[architecture].elfMachine);
  const { components } = JSON.parse(await Deno.readTextFile(`${files}/${inside}/sbom.cdx.json`));
  const runtime = components.find(({ name }: { name: string }) => name === "denort");
  const other = await sha256Of(`${files}/../denort`);
  assertEquals(runtime.hashes[0].content === other, architecture === "arm64", "each names its own runtime");
}
