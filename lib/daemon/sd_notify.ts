// The adapter for systemd's notify socket (sd_notify(3)): what the service manager is told of readiness, reloads, progress
// and state. It must never stop or delay the daemon: without a socket it does nothing, a failure is told once.

import { realPathForWritingSync } from "../support/files.ts";
import { endsWithin } from "../support/timeouts.ts";

/** What can be said in one message; fields left out are not sent. */
export interface Notification {
  /** The config is in force and the loop runs; also ends a reload. */
  readonly ready?: true;
  /** A reload begins; `ready` must follow. */
  readonly reloading?: true;
  /** The daemon is on its way out. */
  readonly stopping?: true;
  /** The loop made progress; must come more often than WatchdogSec= of the unit. */
  readonly watchdog?: true;
  /** State for `systemctl status`; made one line here. */
  readonly status?: string;
}

/** The way to the service manager. */
export interface Notifier {
  /**
   * Sends one message after those before it. Resolves when systemd has it, when it failed, or after a second without
   * either: it never rejects. Of messages that cannot leave at once only the latest status and progress are kept.
   */
  send(notification: Notification): Promise<void>;
  /** Lets go of the socket; messages still waiting are dropped, later ones go nowhere. */
  close(): void;
}

/** Where the service manager listens, and who hears of failures. */
export interface NotifierOptions {
  /** NOTIFY_SOCKET of the environment; undefined when not started by systemd. A leading `@` is an abstract socket. */
  readonly socketPath: string | undefined;
  /** RUNTIME_DIRECTORY of the environment, where the sender's own socket is bound: Deno cannot send unbound. */
  readonly runtimeDirectory: string | undefined;
  /** Told of the first failure, with its cause; never called again. */
  readonly onFailure?: (error: NotifyError) => void;
}

/** A message that did not reach systemd. */
export class NotifyError extends Error {
  override name = "NotifyError";
}

const SEND_TIMEOUT_MS = 1000;

/** Opens the socket named by the environment; a no-op notifier when there is none. Never throws. */
export function openNotifier(options: NotifierOptions): Notifier {
  const { socketPath, runtimeDirectory, onFailure = () => {} } = options;
  if (socketPath === undefined || socketPath === "") return new SilentNotifier();
  try {
    return new SocketNotifier(socketPath, bindOwnSocket(runtimeDirectory), onFailure);
  } catch (error) {
    onFailure(new NotifyError(`cannot notify systemd through ${socketPath}`, { cause: error }));
    return new SilentNotifier();
  }
}

/** The message in the protocol's form: `KEY=value` lines. The status becomes one line without control characters. */
export function formatNotification(notification: Notification): string {
  const lines: string[] = [];
  if (notification.ready) lines.push("READY=1");
  if (notification.reloading) lines.push("RELOADING=1");
  if (notification.stopping) lines.push("STOPPING=1");
  if (notification.watchdog) lines.push("WATCHDOG=1");
  if (notification.status !== undefined) lines.push(`STATUS=${oneLine(notification.status)}`);
  return lines.join("\n");
}

class SilentNotifier implements Notifier {
  send(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {}
}

class SocketNotifier implements Notifier {
  readonly #name: string;
  readonly #target: Deno.UnixAddr;
  readonly #socket: Deno.DatagramConn;
  readonly #onFailure: (error: NotifyError) => void;
  #waiting: Notification[] = [];
  #sending: Promise<void> | undefined;
  #told = false;
  #closed = false;

  constructor(name: string, socket: Deno.DatagramConn, onFailure: (error: NotifyError) => void) {
    this.#name = name;
    this.#target = { transport: "unixpacket", path: name.replace(/^@/, "\0") };
    this.#socket = socket;
    this.#onFailure = onFailure;
  }

  send(notification: Notification): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#enqueue(notification);
    this.#sending ??= this.#sendWaiting();
    return this.#atMostOneSecond(this.#sending);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#waiting = [];
    this.#socket.close();
    removeLeftover((this.#socket.addr as Deno.UnixAddr).path);
  }

  // Two changes of state must both arrive, in their order; status and progress are worth only their latest.
  #enqueue(notification: Notification): void {
    const last = this.#waiting.at(-1);
    if (last !== undefined && !(changesState(last) && changesState(notification))) {
      this.#waiting[this.#waiting.length - 1] = { ...last, ...notification };
    } else {
      this.#waiting.push(notification);
    }
  }

  // One at a time: Deno refuses a second send while one waits for room in systemd's queue.
  async #sendWaiting(): Promise<void> {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      try {
        await this.#socket.send(new TextEncoder().encode(formatNotification(next)), this.#target);
      } catch (error) {
        this.#report(error);
      }
    }
    this.#sending = undefined;
  }

  async #atMostOneSecond(sending: Promise<void>): Promise<void> {
    if (await endsWithin(SEND_TIMEOUT_MS, sending)) return;
    this.#report(new Error(`systemd did not take the message within ${SEND_TIMEOUT_MS / 1000} s`));
  }

  #report(cause: unknown): void {
    if (this.#told || this.#closed) return;
    this.#told = true;
    this.#onFailure(new NotifyError(`cannot notify systemd through ${this.#name}`, { cause }));
  }
}

function changesState(notification: Notification): boolean {
  return Boolean(notification.ready || notification.reloading || notification.stopping);
}

function bindOwnSocket(runtimeDirectory: string | undefined): Deno.DatagramConn {
  // systemd separates several directories by colons; the unit has one.
  const directory = runtimeDirectory?.split(":")[0];
  if (!directory) throw new Error("RUNTIME_DIRECTORY is not set: the unit needs RuntimeDirectory=");
  const path = realPathForWritingSync(`${directory}/notify.sock`);
  removeLeftover(path);
  return Deno.listenDatagram({ transport: "unixpacket", path });
}

function removeLeftover(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // Nothing was there; whatever else it is, binding says it better.
  }
}

function oneLine(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\s\u0000-\u001f\u007f-\u009f]+/g, " ").trim();
}
