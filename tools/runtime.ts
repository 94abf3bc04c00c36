// The runtime of the compiled program (denort), pinned in pins.json: named by DENORT_BIN, kept in
// .deno/, or downloaded from Deno's releases.

import { unzipSync } from "fflate";
import { checkPin, PartMissingError, PinError, sha256, sumOf, versionOf } from "./pins.ts";

/** Where Deno publishes its releases; tests use another URL. */
const RELEASES = "https://dl.deno.land/release";

/**
 * The limit for the complete download of about 40 MB. A host without Internet access usually fails
 * at once.
 */
const DOWNLOAD_TIMEOUT_MS = 120_000;
const CONNECT_TIMEOUT_MS = 10_000;

/** Returns the download URL of the pinned runtime for this platform. */
export function runtimeUrl(releases: string = RELEASES): string {
  return `${releases}/v${versionOf("denort")}/denort-${Deno.build.target}.zip`;
}

/**
 * Returns the path of the pinned runtime: `named` (DENORT_BIN) if given, else
 * `folder`/denort-VERSION, which is downloaded if missing. Throws PinError if it is another
 * runtime, PartMissingError if it cannot be obtained.
 */
export async function findRuntime(named: string | undefined, folder: string, releases?: string): Promise<string> {
  if (named !== undefined) {
    await checkPin("denort", named);
    return named;
  }
  const kept = `${folder}/denort-${versionOf("denort")}`;
  const isKept = await Deno.stat(kept).then(({ isFile }) => isFile, () => false);
  if (!isKept) await keep(kept, await download(runtimeUrl(releases)));
  await checkPin("denort", kept);
  return kept;
}

async function download(url: string): Promise<Uint8Array<ArrayBuffer>> {
  const wanted = sumOf("denort");
  let runtime: Uint8Array<ArrayBuffer> | undefined;
  try {
    runtime = unzipSync(await fetchWhole(url))["denort"] as Uint8Array<ArrayBuffer> | undefined;
  } catch (error) {
    throw new PartMissingError(`cannot download the compile runtime: ${reasonOf(error)}; ${remedy(url)}`);
  }
  if (runtime !== undefined && (await sha256(runtime)).toHex() === wanted) return runtime;
  throw new PinError(`cannot use ${url}: it is not the pinned runtime, SHA-256 ${wanted}; ${remedy(url)}`);
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

function remedy(url: string): string {
  return `unpack denort from ${url} and set DENORT_BIN=/path/to/denort`;
}

function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/^error sending request for url \(\S+\): /, "");
}
