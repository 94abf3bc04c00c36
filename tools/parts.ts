// The parts of the binary besides Gilly itself: the npm packages that main.ts reaches, and the
// runtime. Written as a CycloneDX JSON SBOM, and as the notices that their licenses require. The
// same lock file produces the same texts.

import manifest from "../deno.json" with { type: "json" };
import { type Architecture, ARCHITECTURES } from "./architectures.ts";
import { deno, PROJECT } from "./deno.ts";
import { packageFile } from "./esbuild.ts";
import { sumOf, versionOf } from "./pins.ts";

/** One part, as its publisher describes it. */
interface Part {
  readonly name: string;
  readonly version: string;
  /** An SPDX license expression. */
  readonly license: string;
  /** Package URL (github.com/package-url/purl-spec). */
  readonly purl: string;
  /** In hex, of npm's archive or the runtime's file. */
  readonly hash: { readonly alg: "SHA-256" | "SHA-512"; readonly content: string };
  /** The text of its license file; undefined if it has none. */
  readonly notice?: string;
}

interface Graph {
  readonly modules: readonly { readonly npmPackage?: string }[];
  readonly npmPackages: Readonly<Record<string, { name: string; version: string; dependencies: readonly string[] }>>;
}

const inventories = new Map<Architecture, Promise<Readonly<Record<string, string>>>>();

/**
 * Returns the texts that go with a binary, by file name: its SBOM and the notices of what is in it.
 * They are made once for each architecture; the archive and the packages have the same.
 */
export function inventoryOf(architecture: Architecture): Promise<Readonly<Record<string, string>>> {
  const made = inventories.get(architecture) ?? partsOf(architecture).then((parts) => ({
    "sbom.cdx.json": sbomOf(parts),
    "THIRD-PARTY-NOTICES": noticesOf(parts),
  }));
  inventories.set(architecture, made);
  return made;
}

/**
 * Returns every part of the binary for an architecture, sorted by name: what main.ts reaches
 * according to `deno info`, with the hashes of deno.lock, and the runtime.
 */
async function partsOf(architecture: Architecture): Promise<Part[]> {
  const { npmCache } = JSON.parse(await deno(["info", "--json"])) as { npmCache: string };
  const { modules, npmPackages } = JSON.parse(await deno(["info", "--json", "main.ts"])) as Graph;
  const lock = JSON.parse(await Deno.readTextFile(`${PROJECT}deno.lock`)) as {
    npm: Record<string, { integrity: string }>;
  };
  const reached = new Set<string>();
  const reach = (id: string | undefined) => {
    if (id === undefined || reached.has(id)) return;
    reached.add(id);
    npmPackages[id]?.dependencies.forEach(reach);
  };
  modules.forEach(({ npmPackage }) => reach(npmPackage));
  const packages = await Promise.all([...reached].map(async (id) => {
    const { name, version } = npmPackages[id]!;
    const { integrity } = lock.npm[id]!;
    const description = await packageFile(npmCache, `${name}/${version}/package.json`);
    const { license } = JSON.parse(await Deno.readTextFile(description)) as { license: string };
    const notice = await licenseText(description.replace(/\/[^/]*$/, ""));
    const purl = `pkg:npm/${name.replace("@", "%40")}@${version}`;
    const content = Uint8Array.fromBase64(integrity.replace(/^sha512-/, "")).toHex();
    return { name, version, license, purl, hash: { alg: "SHA-512", content }, ...(notice && { notice }) } as const;
  }));
  return [...packages, runtime(architecture)].toSorted((left, right) => left.name < right.name ? -1 : 1);
}

function runtime(architecture: Architecture): Part {
  const version = versionOf("denort");
  const hash = { alg: "SHA-256", content: sumOf("denort", ARCHITECTURES[architecture].target) } as const;
  return { name: "denort", version, license: "MIT", purl: `pkg:github/denoland/deno@v${version}`, hash, notice: DENO };
}

/**
 * Returns the parts as CycloneDX 1.5 JSON (cyclonedx.org), without anything that differs between
 * builds.
 */
function sbomOf(parts: readonly Part[]): string {
  const component = ({ name, version, license, purl, hash }: Part, type = "library") => (
    { type, "bom-ref": purl, name, version, licenses: [{ expression: license }], purl, hashes: [hash] }
  );
  const { name, version, license } = manifest;
  const purl = `pkg:generic/${name}@${version}`;
  const subject = { type: "application", "bom-ref": purl, name, version, licenses: [{ expression: license }], purl };
  const sbom = {
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    version: 1,
    metadata: { component: subject },
    components: parts.map((part) => component(part, part.name === "denort" ? "platform" : "library")),
    dependencies: [{ ref: purl, dependsOn: parts.map(({ purl }) => purl) }],
  };
  return `${JSON.stringify(sbom, undefined, 2)}\n`;
}

/** Returns the parts with their licenses, as a text file. */
function noticesOf(parts: readonly Part[]): string {
  const sections = parts.map(({ name, version, license, purl, notice = NO_FILE }) => (
    `${"=".repeat(78)}\n${name} ${version} (${license})\n${purl}\n\n${notice.trim()}\n`
  ));
  return `Gilly's binary contains the following software besides its own.\n\n${sections.join("\n")}`;
}

async function licenseText(folder: string): Promise<string | undefined> {
  const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).toSorted();
  const file = names.find((name) => /^licen[cs]e(?:\.|$)/i.test(name));
  return file === undefined ? undefined : await Deno.readTextFile(`${folder}/${file}`);
}

const NO_FILE = "The package comes without a license file; its package.json names the license above.";

const DENO = `MIT License

Copyright 2018-2026 the Deno authors

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.

denort contains V8 (BSD-3-Clause, Copyright 2006-2026 the V8 project authors) and the Rust crates that Cargo.lock of
the same version of Deno lists (most of them MIT or Apache-2.0): https://github.com/denoland/deno/blob/v${
  versionOf("denort")
}/Cargo.lock`;
