// The runtime of the compiled program (denort), pinned in pins.json for each architecture: named by
// the environment, kept in .deno/, or downloaded from Deno's releases.

import { unzipSync } from "fflate";
import { type Architecture, ARCHITECTURES, HOST } from "./architectures.ts";
import { checkPin, isPinned, PartMissingError, PinError, sha256, sumOf, versionOf } from "./pins.ts";

/** Where Deno publishes its releases; tests use another URL. */
const RELEASES = "https://dl.deno.land/release";

/**
 * The limit for the complete download of about 40 MB. A host without Internet access usually fails
 * at once.
 */
const DOWNLOAD_TIMEOUT_MS = 120_000;
const CONNECT_TIMEOUT_MS = 10_000;

/** Returns the download URL of the pinned runtime for an architecture. */
export function runtimeUrl(architecture: Architecture, releases: string = RELEASES): string {
  return `${releases}/v${versionOf("denort")}/denort-${ARCHITECTURES[architecture].target}.zip`;
}

/** Where a runtime may be. */
export interface RuntimePlaces {
  /** The path that the environment names, if any; see `namedRuntime`. */
  readonly named: string | undefined;
  /** Where a download is kept. */
  readonly folder: string;
  /** Another URL than that of Deno's releases. */
  readonly releases?: string;
}

/** Returns the environment variable that names the runtime for an architecture. */
function variableOf(architecture: Architecture): string {
  return `DENORT_BIN_${architecture.toUpperCase()}`;
}

/**
 * Returns the path of a runtime that the environment names: DENORT_BIN_X64 or DENORT_BIN_ARM64, and
 * for this machine's architecture also DENORT_BIN.
 */
export function namedRuntime(architecture: Architecture): string | undefined {
  const own = architecture === HOST ? Deno.env.get("DENORT_BIN") : undefined;
  return Deno.env.get(variableOf(architecture)) || own || undefined;
}

/**
 * Returns the path of the pinned runtime for an architecture: `named` if given, else the one in
 * `folder`, which is downloaded if missing. Throws PinError if it is another runtime,
 * PartMissingError if it cannot be obtained.
 */
export async function findRuntime(
  architecture: Architecture,
  { named, folder, releases }: RuntimePlaces,
): Promise<string> {
  const { target } = ARCHITECTURES[architecture];
  const url = runtimeUrl(architecture, releases);
  if (!isPinned("denort", target)) {
    throw new PartMissingError(
      `cannot build for ${architecture}: tools/pins.json has no SHA-256 of denort ${
        versionOf("denort")
      } for ${target}; ` +
        `unpack denort from ${url}, check it, and add its sum there`,
    );
  }
  const path = named ?? `${folder}/denort-${versionOf("denort")}-${target}`;
  if (named === undefined && !await Deno.stat(path).then(({ isFile }) => isFile, () => false)) {
    await keep(path, await download(architecture, url));
  }
  await checkPin("denort", path, target);
  return path;
}

async function download(architecture: Architecture, url: string): Promise<Uint8Array<ArrayBuffer>> {
  const wanted = sumOf("denort", ARCHITECTURES[architecture].target);
  const remedy = `unpack denort from ${url} and set ${
    architecture === HOST ? "DENORT_BIN" : variableOf(architecture)
  }=/path/to/denort`;
  let runtime: Uint8Array<ArrayBuffer> | undefined;
  try {
    runtime = unzipSync(await fetchWhole(url))["denort"] as Uint8Array<ArrayBuffer> | undefined;
  } catch (error) {
    throw new PartMissingError(
      `cannot download the compile runtime for ${architecture}: ${reasonOf(error)}; ${remedy}`,
    );
  }
  if (runtime !== undefined && (await sha256(runtime)).toHex() === wanted) return runtime;
  throw new PinError(`cannot use ${url}: it is not the pinned runtime, SHA-256 ${wanted}; ${remedy}`);
}

async function fetchWhole(url: string): Promise<Uint8Array> {
  const abort = new AbortController();
  const stop = (ms: number, why: string) => setTimeout(() => abort.abort(new Error(why)), ms);
  const whole = stop(DOWNLOAD_TIMEOUT_MS, `not complete within ${DOWNLOAD_TIMEOUT_MS / 1000} s`);
  const connecting = stop(CONNECT_TIMEOUT_MS, `no answer within ${CONNECT_TIMEOUT_MS / 1000} s`);
  try {
    const response = await fetch(url, { signal: abort.signal });
    clearTimeout(connecting);
    if (response.ok) return new Uint8Array(await response.arrayBuffer());
    await response.body?.cancel();
    throw new Error(`${url} answered ${response.status}`);
  } finally {
    clearTimeout(connecting);
    clearTimeout(whole);
  }
}

// The file gets its name only when it is complete, so that an interrupted build leaves nothing that
// could be taken for it.
async function keep(path: string, runtime: Uint8Array): Promise<void> {
  await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  const draft = `${path}.${Deno.pid}`;
  await Deno.writeFile(draft, runtime, { mode: 0o755 });
  await Deno.rename(draft, path);
}

function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/^error sending request for url \(\S+\): /, "");
}
