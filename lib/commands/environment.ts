// The environment of a command: its terminal, its user, the proxy variables, the signals that stop it
// or reload its config, and where systemd and other processes look for its state.

import { type Notifier, openNotifier } from "../daemon/sd_notify.ts";
import { log } from "../log/log.ts";
import { type ProcessState, StateFile, stateFileIn } from "../status/state_file.ts";
import { describeError } from "../support/errors.ts";

/**
 * Returns the columns and rows of a stream that is a terminal; undefined if it is a pipe or a file.
 */
export function sizeOf(stream: { isTerminal(): boolean }): { columns: number; rows: number } | undefined {
  if (!stream.isTerminal()) return undefined;
  try {
    const { columns, rows } = Deno.consoleSize();
    // A terminal of unknown size reports 0.
    return { columns: columns || 80, rows: rows || 24 };
  } catch {
    return { columns: 80, rows: 24 };
  }
}

/**
 * Returns the name of the user who runs this process, or of the user behind sudo if there is one;
 * `uid N` if /etc/passwd has no name for the number, and undefined if /proc does not tell the
 * number.
 */
export async function userName(): Promise<string | undefined> {
  try {
    const { uid } = await Deno.stat("/proc/self");
    const behindSudo = uid === 0 ? Deno.env.get("SUDO_USER") : undefined;
    if (behindSudo) return behindSudo;
    const passwd = await Deno.readTextFile("/etc/passwd");
    const [name] = passwd.split("\n").map((line) => line.split(":")).find(([, , id]) => Number(id) === uid) ?? [];
    return name || `uid ${uid}`;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return undefined;
  }
}

// The kubelet and the sockets are on this host, and no variable may redirect requests to them. Deno
// reads these variables whenever it creates a client, so they are unset before anything connects.
const PROXIES = ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "all_proxy", "https_proxy", "http_proxy"] as const;

/**
 * Deno connects to a host in NO_PROXY by name. With `*` that includes the Engine's host, whose
 * calls would then bypass the socket.
 */
const EXCEPTIONS = ["NO_PROXY", "no_proxy"] as const;

/**
 * Every variable that Deno's clients obey (deno ext/fetch/proxy.rs). The binary may read and unset
 * them.
 */
export const PROXY_VARIABLES: readonly string[] = [...PROXIES, ...EXCEPTIONS];

let ignored: readonly string[] = [];

/** Unsets all PROXY_VARIABLES in this process. */
export function ignoreProxies(): void {
  ignored = PROXIES.filter((name) => Deno.env.get(name));
  for (const name of PROXY_VARIABLES) Deno.env.delete(name);
}

/**
 * Returns the variables that named a proxy before `ignoreProxies`. Their values may contain a
 * password and are not kept.
 */
export function ignoredProxies(): readonly string[] {
  return ignored;
}

/** What others learn of a running program by. */
export interface Outlets<State extends ProcessState> {
  readonly notifier: Notifier;
  readonly stateFile: StateFile<State>;
  readonly stateFilePath: string;
}

/**
 * Opens systemd's socket and the state file of a program, which lies in `directory` unless systemd
 * names another; `news` is that of StateFile. Never throws; failures are logged.
 */
export function openOutlets<State extends ProcessState>(
  program: "daemon" | "proxy",
  directory: string,
  news?: (state: State) => unknown,
): Outlets<State> {
  const runtimeDirectory = Deno.env.get("RUNTIME_DIRECTORY");
  const notifier = openNotifier({
    socketPath: Deno.env.get("NOTIFY_SOCKET"),
    runtimeDirectory,
    onFailure: (error) => log("warning", "Main", describeError(error)),
  });
  const stateFilePath = stateFileIn(runtimeDirectory, directory);
  const stateFile = new StateFile<State>(stateFilePath, (error) => {
    const level = runtimeDirectory === undefined ? "info" : "warning";
    log(level, "Main", `gilly status cannot show this ${program}: ${describeError(error)}`);
  }, news);
  return { notifier, stateFile, stateFilePath };
}

/**
 * Aborts its `signal` on the first SIGTERM or SIGINT, and calls `reload` on SIGHUP, until it is
 * disposed of. A second signal ends the process as if it were not handled.
 */
export class ShutdownSignal implements Disposable {
  readonly #controller = new AbortController();
  readonly #interrupt = () => this.#stop(130);
  readonly #terminate = () => this.#stop(143);
  readonly #reload: (() => void) | undefined;
  #code: number | undefined;

  constructor(reload?: () => void) {
    this.#reload = reload;
    Deno.addSignalListener("SIGINT", this.#interrupt);
    Deno.addSignalListener("SIGTERM", this.#terminate);
    if (reload !== undefined) Deno.addSignalListener("SIGHUP", reload);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The exit code after a stop, as in shells: 128 plus the number of the signal. */
  get code(): number | undefined {
    return this.#code;
  }

  [Symbol.dispose](): void {
    this.#leaveToTheSystem();
    if (this.#reload !== undefined) Deno.removeSignalListener("SIGHUP", this.#reload);
  }

  #stop(code: number): void {
    this.#code = code;
    this.#leaveToTheSystem();
    this.#controller.abort(new DOMException("stopped by a signal", "AbortError"));
  }

  #leaveToTheSystem(): void {
    Deno.removeSignalListener("SIGINT", this.#interrupt);
    Deno.removeSignalListener("SIGTERM", this.#terminate);
  }
}
