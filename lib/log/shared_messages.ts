// The log messages that the daemon and the registry proxy have in common: about mirrors, provenance
// and the config.

import type { Cooldown } from "../mirrors/cooldown.ts";
import type { MirrorObserver } from "../mirrors/mirrors.ts";
import { counted } from "../support/text.ts";
import type { Fields, Level } from "./log.ts";
import { Throttle } from "./throttle.ts";

/** Writes one entry; the program passes `log` of lib/log/log.ts. */
export type WriteLog = (level: Level, tag: string, text: string, fields?: Fields) => void;

/** Logs each change once, and lasting conditions at growing intervals. */
export class SharedMessages implements MirrorObserver {
  protected readonly log: WriteLog;
  protected readonly now: () => number;
  protected readonly throttle = new Throttle();

  constructor(write: WriteLog, now: () => number) {
    this.log = write;
    this.now = now;
  }

  /** A mirror failed and is cooling down. */
  mirrorCoolsDown(mirror: string, cooldown: Cooldown): void {
    const seconds = Math.ceil((cooldown.until - this.now()) / 1000);
    this.log(
      "warning",
      "Mirror",
      `${mirror} cools down for ${seconds} s, then longer each time: ${cooldown.because}`,
      {
        mirror,
      },
    );
  }

  mirrorRecovered(mirror: string): void {
    this.log("info", "Mirror", `${mirror} delivers again`, { mirror });
  }

  authProblem(mirror: string, problem: string): void {
    // Several entries of a mirror's file may each have a problem, and take turns.
    const key = `auth:${mirror}:${problem}`;
    this.logThrottled("warning", key, "Mirror", `${mirror} is used without credentials: ${problem}`, { mirror });
  }

  anomalyFound(message: string): void {
    this.logThrottled("warning", `anomaly:${message}`, "Provenance", message);
  }

  /**
   * The config was read again. `mistakes`, one a line, is set if it was refused and the old one stays in
   * force.
   */
  reloaded(file: string, mistakes?: string): void {
    if (mistakes === undefined) return this.log("info", "Config", `${file} is in force`);
    const lines = mistakes.split("\n");
    const count = lines.length === 1 ? "" : `${counted(lines.length, "mistake")}, the first is `;
    const [first = "", ...others] = lines;
    this.log("error", "Config", `refused ${file}, the old config stays in force: ${count}${first}`);
    for (const other of others) this.log("error", "Config", other);
  }

  /** Logs at `level` if the text is news about the key, and otherwise at debug. */
  protected logThrottled(level: Level, key: string, tag: string, text: string, fields?: Fields): void {
    this.log(this.throttle.shouldLog(key, text, this.now()) ? level : "debug", tag, text, fields);
  }
}
