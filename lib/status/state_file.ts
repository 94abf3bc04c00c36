// The adapter for the state file of the daemon, and for that of the registry proxy, each in its
// runtime directory: written atomically, readable by everyone, removed when the program stops. It
// never stops or delays that program.

import { removeFile, writeAtomically } from "../support/files.ts";
import { printableJson } from "../support/text.ts";
import { spanText } from "../support/units.ts";
import type { NodeState } from "./node_state.ts";
import type { ProxyState } from "./proxy_state.ts";
import { type NoDaemon, readNodeState, readProxyState, type ReadState } from "./read_state.ts";

/** The runtime directory if the environment does not name one. */
export const DEFAULT_RUNTIME_DIRECTORY = "/run/gilly";

/** That of the registry proxy. */
export const PROXY_RUNTIME_DIRECTORY = `${DEFAULT_RUNTIME_DIRECTORY}-proxy`;

/** A program writes at least every 15 s, and systemd kills one whose loop hangs for 60 s. */
const STALE_AFTER_SECONDS = 90;

/** An unchanged state is written again after this long, for the ages in it. */
const AGAIN_MS = 10_000;

/**
 * Returns the path of the state file; `runtimeDirectory` is RUNTIME_DIRECTORY from the environment,
 * and `otherwise` the directory if that names none.
 */
export function stateFileIn(runtimeDirectory: string | undefined, otherwise = DEFAULT_RUNTIME_DIRECTORY): string {
  // systemd separates directories with colons; the unit has one.
  return `${runtimeDirectory?.split(":")[0] || otherwise}/state.json`;
}

/** Returns the path of the registry proxy's state file, whose directory is beside the daemon's. */
export function proxyStateFile(stateFile: string): string {
  return stateFile.replace(/\/[^/]*$/, "-proxy$&");
}

/** What each state has: the process that wrote it, and when (ISO 8601). */
export interface ProcessState {
  readonly pid: number;
  readonly writtenAt: string;
}

/** Writes states to a file. Never throws; a failure is reported once, until a write succeeds. */
export class StateFile<State extends ProcessState> {
  readonly #path: string;
  readonly #onFailure: (error: unknown) => void;
  readonly #news: (state: State) => unknown;
  #written: { readonly fingerprint: string; readonly at: number } | undefined;
  #next: State | undefined;
  #writing: Promise<void> | undefined;
  #failed = false;
  #closed = false;

  /** `news` returns what makes a state new to its readers besides `writtenAt`; by default, all of it. */
  constructor(path: string, onFailure: (error: unknown) => void, news: (state: State) => unknown = (state) => state) {
    this.#path = path;
    this.#onFailure = onFailure;
    this.#news = news;
  }

  /**
   * Writes the state in the background if anything in it is new; of states published during a
   * write, only the last is kept.
   */
  publish(state: State): void {
    if (this.#closed) return;
    this.#next = state;
    this.#writing ??= this.#writeNext().finally(() => this.#writing = undefined);
  }

  /** Removes the file, unless another process has replaced it with its own. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#next = undefined;
    await this.#writing;
    if (this.#written === undefined) return;
    try {
      const { pid } = JSON.parse(await Deno.readTextFile(this.#path));
      if (pid === Deno.pid) await removeFile(this.#path);
    } catch {
      // It is already gone, or its readers will find that its process is.
    }
  }

  async #writeNext(): Promise<void> {
    for (let state = this.#next; state !== undefined; state = this.#next) {
      this.#next = undefined;
      const fingerprint = JSON.stringify(this.#news({ ...state, writtenAt: "" }));
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

  async #write(state: State): Promise<void> {
    await writeAtomically(this.#path, `${printableJson(state, 2)}\n`, 0o644);
  }
}

/**
 * Returns the text of a state file; undefined if there is none. Throws other file system errors.
 */
export async function readStateText(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return undefined;
    throw error;
  }
}

/** The contents of a state file if its process is running; otherwise why it is not. */
export type Seen<State> =
  & { readonly problems: readonly string[] }
  & ({ readonly state: State } | { readonly state: undefined } & NoDaemon);

/** See Seen. */
export type SeenDaemon = Seen<NodeState>;

/**
 * Reads a state file and checks its daemon at `now` (milliseconds since the epoch). Throws file
 * system errors.
 */
export async function seeDaemon(file: string, now: number): Promise<SeenDaemon> {
  return await seeProcess(file, now, { read: readNodeState, called: "daemon", unit: "gilly" });
}

/** The same for the registry proxy. */
export async function seeProxy(file: string, now: number): Promise<Seen<ProxyState>> {
  return await seeProcess(file, now, { read: readProxyState, called: "proxy", unit: "gilly-proxy" });
}

interface Kind<State> {
  readonly read: (text: string) => ReadState<State>;
  readonly called: string;
  readonly unit: string;
}

async function seeProcess<State extends ProcessState>(
  file: string,
  now: number,
  { read, called, unit }: Kind<State>,
): Promise<Seen<State>> {
  const none = (because: string, problems: readonly string[] = [], silent = false) => (
    { state: undefined, because, problems, silent }
  );
  const text = await readStateText(file);
  if (text === undefined) return none(`${file} does not exist`);
  const { state, problems } = read(text);
  if (state === undefined) return none(`${file} holds no ${called} state`, problems);
  const age = (now - Date.parse(state.writtenAt)) / 1000;
  const alive = await isAlive(state.pid);
  const wrote = `pid ${state.pid}, which wrote ${file} ${spanText(age)} ago,`;
  if (alive === false) return none(`${wrote} is gone`, problems);
  if (age > STALE_AFTER_SECONDS) {
    return none(`${wrote} has written nothing since: see journalctl -u ${unit}`, problems, true);
  }
  return { state, problems };
}

/** Returns whether a process exists; undefined if /proc does not show it (proc(5), hidepid). */
export async function isAlive(pid: number): Promise<boolean | undefined> {
  const exists = (path: string) => Deno.stat(path).then(() => true, () => false);
  if (await exists(`/proc/${pid}`)) return true;
  return await exists("/proc/1") ? false : undefined;
}

/**
 * Calls `onChange` whenever the file may have changed. Resolves when its folder is removed or the
 * signal is aborted, or at once if it cannot be watched. Never throws.
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
    // There is no folder, or this host has no watches left: the caller also polls.
  }
}
