// The adapter for the daemon's state file in its runtime directory: written whole or not at all, readable by everybody, gone
// when the daemon is. It never stops or delays the daemon.

import { removeFile, writeAtomically } from "../support/files.ts";
import { printableJson } from "../support/text.ts";
import { spanText } from "../support/units.ts";
import type { NodeState } from "./node_state.ts";
import { type NoDaemon, readNodeState } from "./read_state.ts";

/** Where the runtime directory is when the environment does not say so. */
export const DEFAULT_RUNTIME_DIRECTORY = "/run/gilly";

/** A daemon writes every fifteen seconds at the latest, and systemd kills one whose loop hangs for sixty. */
const STALE_AFTER_SECONDS = 90;

/** A state that did not change is written again after this long, for the ages in it. */
const AGAIN_MS = 10_000;

/** The path of the state file; `runtimeDirectory` is RUNTIME_DIRECTORY of the environment. */
export function stateFileIn(runtimeDirectory: string | undefined): string {
  // systemd separates several directories by colons; the unit has one.
  return `${runtimeDirectory?.split(":")[0] || DEFAULT_RUNTIME_DIRECTORY}/state.json`;
}

/** Writes states to a file. Nothing here throws; the first failure is told once, until a write succeeds. */
export class StateFile {
  readonly #path: string;
  readonly #onFailure: (error: unknown) => void;
  #written: { readonly fingerprint: string; readonly at: number } | undefined;
  #next: NodeState | undefined;
  #writing: Promise<void> | undefined;
  #failed = false;
  #closed = false;

  constructor(path: string, onFailure: (error: unknown) => void) {
    this.#path = path;
    this.#onFailure = onFailure;
  }

  /** Writes the state beside the caller's work, if it says anything new; of states that come meanwhile only the last. */
  publish(state: NodeState): void {
    if (this.#closed) return;
    this.#next = state;
    this.#writing ??= this.#writeNext().finally(() => this.#writing = undefined);
  }

  /** Takes the file away, unless another daemon has put its own in its place. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#next = undefined;
    await this.#writing;
    if (this.#written === undefined) return;
    try {
      const { pid } = JSON.parse(await Deno.readTextFile(this.#path));
      if (pid === Deno.pid) await removeFile(this.#path);
    } catch {
      // It is gone already, or whoever reads it will see that its daemon is.
    }
  }

  async #writeNext(): Promise<void> {
    for (let state = this.#next; state !== undefined; state = this.#next) {
      this.#next = undefined;
      const fingerprint = fingerprintOf(state);
      const at = Date.parse(state.writtenAt);
      // A clock that was set back counts as news.
      const fresh = this.#written !== undefined && Math.abs(at - this.#written.at) < AGAIN_MS;
      if (fresh && fingerprint === this.#written?.fingerprint) continue;
      try {
        await this.#write(state);
        this.#written = { fingerprint, at };
        this.#failed = false;
      } catch (error) {
        if (!this.#failed) this.#onFailure(error);
        this.#failed = true;
      }
    }
  }

  async #write(state: NodeState): Promise<void> {
    await writeAtomically(this.#path, `${printableJson(state, 2)}\n`, 0o644);
  }
}

/** The text of a state file, or undefined when there is none. Throws what the file system says. */
export async function readStateText(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return undefined;
    throw error;
  }
}

/** What a state file says, if a daemon stands behind it; else why none does. */
export type SeenDaemon =
  & { readonly problems: readonly string[] }
  & ({ readonly state: NodeState } | { readonly state: undefined } & NoDaemon);

/** Looks for the daemon behind a state file, at `now` (milliseconds since the epoch). Throws what the file system says. */
export async function seeDaemon(file: string, now: number): Promise<SeenDaemon> {
  const none = (because: string, problems: readonly string[] = [], silent = false) => (
    { state: undefined, because, problems, silent }
  );
  const text = await readStateText(file);
  if (text === undefined) return none(`${file} does not exist`);
  const { state, problems } = readNodeState(text);
  if (state === undefined) return none(`${file} holds no daemon state`, problems);
  const age = (now - Date.parse(state.writtenAt)) / 1000;
  const alive = await isAlive(state.pid);
  const wrote = `pid ${state.pid}, which wrote ${file} ${spanText(age)} ago,`;
  if (alive === false) return none(`${wrote} is gone`, problems);
  if (age > STALE_AFTER_SECONDS) {
    return none(`${wrote} has written nothing since: see journalctl -u gilly`, problems, true);
  }
  return { state, problems };
}

/** Whether a process is there; undefined when /proc does not tell (proc(5), hidepid). */
export async function isAlive(pid: number): Promise<boolean | undefined> {
  const exists = (path: string) => Deno.stat(path).then(() => true, () => false);
  if (await exists(`/proc/${pid}`)) return true;
  return await exists("/proc/1") ? false : undefined;
}

/**
 * Calls back whenever the file may have changed, until its folder goes away or the signal is aborted; at once when it
 * cannot be watched. Never throws.
 */
export async function watchStateFile(path: string, onChange: () => void, signal: AbortSignal): Promise<void> {
  const [folder, name] = /^(.*)\/([^/]*)$/s.exec(path)?.slice(1) ?? [".", path];
  try {
    const watcher = Deno.watchFs(folder || "/", { recursive: false });
    const stop = () => watcher.close();
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    for await (const { kind, paths } of watcher) {
      if (paths.some((it) => it.endsWith(`/${name}`))) onChange();
      if (kind === "remove" && paths.some((it) => it === folder)) break;
    }
    signal.removeEventListener("abort", stop);
  } catch {
    // No folder, or no watches left on this host: whoever asks looks now and then anyway.
  }
}

// What a reader would call the same; the time of the last pass moves with every pass.
function fingerprintOf(state: NodeState): string {
  return JSON.stringify({ ...state, writtenAt: "", lastGoodPassAt: state.lastGoodPassAt === null });
}
