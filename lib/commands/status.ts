// `gilly status`: what the running daemon knows, read from its state file; it contacts nothing.

import { RESTART, START } from "../status/read_state.ts";
import { statusLines } from "../status/render.ts";
import { seeDaemon, type SeenDaemon, stateFileIn, watchStateFile } from "../status/state_file.ts";
import { systemClock } from "../support/clock.ts";
import { describeError, EXIT } from "../support/errors.ts";
import { printableJson } from "../support/text.ts";
import { sleep } from "../support/timeouts.ts";
import type { Command, Output } from "./command_line.ts";
import { ShutdownSignal, sizeOf } from "./environment.ts";
import { JSON_FLAG, warn } from "./flags.ts";

/**
 * The exit code if no daemon is running, as of `systemctl status` (LSB, "program is not running").
 */
const NOT_RUNNING = 3;

/**
 * The interval of redraws, since ages and the times of next tries change even if the state does
 * not.
 */
const REDRAW_MS = 2000;

export const statusCommand: Command = {
  name: "status",
  summary: "the daemon's failing containers, their states, and its mirrors",
  description: [
    "Prints the daemon's line of state, then every failing container with its state,",
    "the next try and the mirror, then the mirrors and whether they are cooling down.",
    "It only reads the daemon's state file, and does not need root. With --watch it",
    "prints again on every change until Ctrl-C, with --json one object per line.",
    "",
    "Exit code: 0 if the daemon is running, 3 if it is not.",
  ].join("\n"),
  example: "gilly status --watch",
  flags: [
    JSON_FLAG,
    { name: "watch", help: "keep running and print changes" },
    { name: "state-file", value: "FILE", help: `the state file (default ${stateFileIn(undefined)})` },
  ],
  async run({ flags }, output) {
    const file = typeof flags["state-file"] === "string"
      ? flags["state-file"]
      : stateFileIn(Deno.env.get("RUNTIME_DIRECTORY"));
    const json = flags.json === true;
    if (flags.watch === true) return await watch(file, json, output);
    const seen = await seeDaemon(file, systemClock.wallTime());
    for (const problem of seen.problems) warn(`${file}: ${problem}`);
    output.write(json ? `${printableJson(asJson(seen), 2)}\n` : `${linesOf(seen).join("\n")}\n`);
    return seen.state === undefined ? NOT_RUNNING : EXIT.ok;
  },
};

function asJson(seen: SeenDaemon): unknown {
  return seen.state === undefined
    ? { running: false, because: seen.because, problems: seen.problems }
    : { running: true, ...seen.state, ...(seen.problems.length > 0 && { problems: seen.problems }) };
}

function linesOf(seen: SeenDaemon): string[] {
  return seen.state === undefined
    ? [`gilly is not running: ${seen.because}`, `→ ${seen.silent ? RESTART : START}`]
    : statusLines(seen.state, systemClock.wallTime(), sizeOf(Deno.stdout)?.columns ?? Infinity);
}

async function watch(file: string, json: boolean, output: Output): Promise<number> {
  using stop = new ShutdownSignal();
  const screen = !json && Deno.stdout.isTerminal();
  const show = screen ? onScreen(output) : inLines(json, output);
  let changed = new AbortController();
  let watching = false;
  while (!stop.signal.aborted) {
    changed = new AbortController();
    if (!watching) {
      watching = true;
      void watchStateFile(file, () => changed.abort(), stop.signal).finally(() => watching = false);
    }
    show(
      await seeDaemon(file, systemClock.wallTime()).catch((error): SeenDaemon => (
        { state: undefined, because: `cannot read ${file}: ${describeError(error)}`, problems: [], silent: false }
      )),
    );
    await sleep(REDRAW_MS, AbortSignal.any([stop.signal, changed.signal]));
  }
  if (screen) output.write("\n");
  return EXIT.ok;
}

/** Returns a function that redraws the screen, with as many lines as fit the terminal. */
function onScreen(output: Output): (seen: SeenDaemon) => void {
  output.write("\x1b[2J");
  return (seen) => {
    const { rows } = sizeOf(Deno.stdout) ?? { rows: 24 };
    const lines = [...seen.problems.map((problem) => `(${problem})`), ...linesOf(seen)];
    const room = Math.max(2, rows - 1);
    const shown = lines.length <= room
      ? lines
      : [...lines.slice(0, room - 1), `… ${lines.length - room + 1} more lines: gilly status shows them`];
    output.write(`\x1b[H${shown.map((line) => `${line}\x1b[K\n`).join("")}\x1b[J`);
  };
}

/** Returns a function that appends changed states; a change of ages alone is ignored. */
function inLines(json: boolean, output: Output): (seen: SeenDaemon) => void {
  let last: string | undefined;
  return (seen) => {
    const news = JSON.stringify(
      seen.state === undefined ? seen : { ...seen.state, writtenAt: "", lastGoodPassAt: "" },
    );
    if (news === last) return;
    const gap = last === undefined ? "" : "\n";
    last = news;
    output.write(json ? `${printableJson(asJson(seen))}\n` : `${gap}${linesOf(seen).join("\n")}\n`);
  };
}
