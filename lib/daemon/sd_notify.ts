// The adapter for systemd's notify socket (sd_notify(3)): reports readiness, reloads, progress and
// state. It never stops or delays the daemon: without a socket it does nothing, and only the first
// failure is reported.

import { realPathForWritingSync } from "../support/files.ts";
import { endsWithin } from "../support/timeouts.ts";

/** The fields of one message; omitted fields are not sent. */
export interface Notification {
  /** The config is in force and the loop is running; also ends a reload. */
  readonly ready?: true;
  /** A reload begins; `ready` must follow. */
  readonly reloading?: true;
  /** The daemon is stopping. */
  readonly stopping?: true;
  /** The loop made progress; must be sent more often than the unit's WatchdogSec=. */
  readonly watchdog?: true;
  /** State for `systemctl status`; reduced to one line before it is sent. */
  readonly status?: string;
}

/** Sends notifications to the service manager. */
export interface Notifier {
  /**
   * Sends a message after all earlier ones. Resolves when systemd has it, when sending failed, or
   * after a second; never rejects. Of the messages that cannot be sent at once, only the latest
   * status and progress are kept.
   */
  send(notification: Notification): Promise<void>;
  /** Closes the socket; queued messages are dropped and later ones ignored. */
  close(): void;
}

/** Where the service manager listens, and what to call on failure. */
export interface NotifierOptions {
  /**
   * NOTIFY_SOCKET from the environment; undefined if not started by systemd. A leading `@` means an
   * abstract socket.
   */
  readonly socketPath: string | undefined;
  /**
   * RUNTIME_DIRECTORY from the environment, where the sender's own socket is bound: Deno cannot
   * send from an unbound socket.
   */
  readonly runtimeDirectory: string | undefined;
  /** Called once, with the first failure and its cause. */
  readonly onFailure?: (error: NotifyError) => void;
}

/** Reports a message that did not reach systemd. */
export class NotifyError extends Error {
  override name = "NotifyError";
}

const SEND_TIMEOUT_MS = 1000;

/**
 * Opens the socket that the environment names; returns a no-op notifier if there is none. Never
 * throws.
 */
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

/**
 * Formats a message as the protocol's `KEY=value` lines. The status becomes one line without
 * control characters.
 */
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

  // State changes must all arrive, in order; of status and progress only the latest matters.
  #enqueue(notification: Notification): void {
    const last = this.#waiting.at(-1);
    if (last !== undefined && !(changesState(last) && changesState(notification))) {
      this.#waiting[this.#waiting.length - 1] = { ...last, ...notification };
    } else {
      this.#waiting.push(notification);
    }
  }

  // Sends one message at a time: Deno refuses a second send while one waits for room in systemd's
  // queue.
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
  // systemd separates directories with colons; the unit has one.
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
    // There was nothing to remove, or binding reports the problem better.
  }
}

function oneLine(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\s\u0000-\u001f\u007f-\u009f]+/g, " ").trim();
}
