// The journal of gilly.service as it is written: every entry, and a way to wait for one.

import { endsWithin } from "../../lib/support/timeouts.ts";
import { PATIENCE_MS } from "../support/patience.ts";

/** One entry of the journal. */
export interface Entry {
  readonly message: string;
  /** Syslog priority, 0 to 7. */
  readonly priority: number;
  /** Who wrote it: `gilly`, or `systemd`. */
  readonly identifier: string;
  /** Its unique position in the journal. */
  readonly cursor: string;
}

interface Waiter {
  readonly wanted: (entry: Entry) => boolean;
  readonly found: PromiseWithResolvers<Entry>;
}

export class Journal {
  /** Everything so far, oldest first. */
  readonly entries: Entry[] = [];
  /** Resolves when the host is gone. */
  readonly ended: Promise<void>;
  #waiters: Waiter[] = [];

  /** Reads what `journalctl --follow --output=json` prints. */
  constructor(journalctl: Deno.ChildProcess) {
    this.ended = this.#read(journalctl);
  }

  /** Returns the entries after `entry`, or all of them. */
  since(entry?: Entry): Entry[] {
    return this.entries.slice(entry === undefined ? 0 : this.entries.indexOf(entry) + 1);
  }

  /** Returns the first entry after `since` that matches. Throws, with the journal, on a timeout. */
  waitFor(pattern: RegExp, since?: Entry): Promise<Entry> {
    return this.#wait(({ message }) => pattern.test(message), `say ${pattern}`, since);
  }

  /** Returns the entry with that cursor, once it has been read. */
  waitForCursor(cursor: string): Promise<Entry> {
    return this.#wait((entry) => entry.cursor === cursor, `come to ${cursor}`, undefined);
  }

  async #wait(
    wanted: (entry: Entry) => boolean,
    what: string,
    since: Entry | undefined,
  ): Promise<Entry> {
    const there = this.since(since).find(wanted);
    if (there !== undefined) return there;
    const found = Promise.withResolvers<Entry>();
    this.#waiters.push({ wanted, found });
    if (await endsWithin(PATIENCE_MS, found.promise)) return await found.promise;
    const said = this.since(since).map(({ identifier, message }) => `${identifier}: ${message}`);
    throw new Error(`the journal did not ${what} within ${PATIENCE_MS / 1000} s:\n${said.join("\n")}`);
  }

  async #read(journalctl: Deno.ChildProcess): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of journalctl.stdout) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#hear(entryOf(line));
    }
    await journalctl.status;
    for (const { found } of this.#waiters) found.reject(new Error("the host halted"));
  }

  #hear(entry: Entry): void {
    this.entries.push(entry);
    const heard = this.#waiters.filter(({ wanted }) => wanted(entry));
    this.#waiters = this.#waiters.filter((waiter) => !heard.includes(waiter));
    for (const { found } of heard) found.resolve(entry);
  }
}

// A message that is not plain text comes as an array of its bytes.
function entryOf(line: string): Entry {
  const fields = JSON.parse(line) as Record<string, string | number[]>;
  const { MESSAGE = "", PRIORITY, SYSLOG_IDENTIFIER, __CURSOR } = fields;
  return {
    message: typeof MESSAGE === "string" ? MESSAGE : new TextDecoder().decode(Uint8Array.from(MESSAGE)),
    priority: Number(PRIORITY),
    identifier: String(SYSLOG_IDENTIFIER),
    cursor: String(__CURSOR),
  };
}
