// `gilly status`: what the running daemon knows, read from its state file; it contacts nothing.

import { ledHosts } from "../status/led_hosts.ts";
import { newsIn, type NodeState } from "../status/node_state.ts";
import type { ProxyState } from "../status/proxy_state.ts";
import { RESTART, START } from "../status/read_state.ts";
import { proxyLines, statusLines } from "../status/render.ts";
import { proxyStateFile, seeDaemon, type Seen, seeProxy, watchStateFile } from "../status/state_file.ts";
import { systemClock } from "../support/clock.ts";
import { describeError, EXIT } from "../support/errors.ts";
import { printableJson } from "../support/text.ts";
import { sleep } from "../support/timeouts.ts";
import type { Command, Output } from "./command_line.ts";
import { ShutdownSignal, sizeOf } from "./environment.ts";
import { JSON_FLAG, STATE_FILE_FLAG, stateFileOf, warn } from "./flags.ts";

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
    "Then the registry proxy, if it runs: what it served, and what is led to it. It",
    "only reads their state files and /etc/hosts, and does not need root. With",
    "--watch it prints again on every change until Ctrl-C, with --json one object per",
    "line.",
    "",
    "Exit code: 0 if the daemon is running, 3 if it is not.",
  ].join("\n"),
  example: "gilly status --watch",
  flags: [
    JSON_FLAG,
    { name: "watch", help: "keep running and print changes" },
    STATE_FILE_FLAG,
  ],
  async run(args, output) {
    const file = stateFileOf(args);
    const json = args.flags.json === true;
    if (args.flags.watch === true) return await watch(file, json, output);
    const seen = await look(file);
    for (const problem of problemsIn(seen)) warn(problem);
    output.write(json ? `${printableJson(asJson(seen), 2)}\n` : `${linesOf(seen).join("\n")}\n`);
    return seen.daemon.state === undefined ? NOT_RUNNING : EXIT.ok;
  },
};

/** What both programs have told, and the registries that are led to the proxy. */
interface Both {
  readonly daemon: Seen<NodeState>;
  readonly proxy: Seen<ProxyState>;
  readonly redirected: ReadonlySet<string>;
  readonly files: { readonly daemon: string; readonly proxy: string };
}

async function look(daemonFile: string): Promise<Both> {
  const now = systemClock.wallTime();
  const files = { daemon: daemonFile, proxy: proxyStateFile(daemonFile) };
  const [daemon, proxy] = await Promise.all([seeDaemon(files.daemon, now), seeProxy(files.proxy, now)]);
  const redirected = proxy.state === undefined ? new Set<string>() : await ledHosts(proxy.state);
  return { daemon, proxy, redirected, files };
}

function problemsIn({ daemon, proxy, files }: Both): string[] {
  return [
    ...daemon.problems.map((problem) => `${files.daemon}: ${problem}`),
    ...proxy.problems.map((problem) => `${files.proxy}: ${problem}`),
  ];
}

function asJson(seen: Both): unknown {
  const { daemon, proxy, redirected } = seen;
  const problems = problemsIn(seen);
  const common = {
    proxy: proxy.state === undefined ? null : { ...proxy.state, redirected: [...redirected] },
    ...(problems.length > 0 && { problems }),
  };
  return daemon.state === undefined
    ? { running: false, because: daemon.because, problems, ...common }
    : { running: true, ...daemon.state, ...common };
}

function linesOf({ daemon, proxy, redirected }: Both): string[] {
  const width = sizeOf(Deno.stdout)?.columns ?? Infinity;
  const now = systemClock.wallTime();
  const lines = daemon.state === undefined
    ? [`gilly is not running: ${daemon.because}`, `→ ${daemon.silent ? RESTART : START}`]
    : statusLines(daemon.state, now, width);
  return proxy.state === undefined ? lines : [...lines, "", ...proxyLines(proxy.state, redirected, now, width)];
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
    show(await look(file).catch((error) => unreadable(file, error)));
    await sleep(REDRAW_MS, AbortSignal.any([stop.signal, changed.signal]));
  }
  if (screen) output.write("\n");
  return EXIT.ok;
}

function unreadable(file: string, error: unknown): Both {
  const none = { state: undefined, problems: [], silent: false };
  return {
    daemon: { ...none, because: `cannot read ${file}: ${describeError(error)}` },
    proxy: { ...none, because: "" },
    redirected: new Set(),
    files: { daemon: file, proxy: proxyStateFile(file) },
  };
}

/** Returns a function that redraws the screen, with as many lines as fit the terminal. */
function onScreen(output: Output): (seen: Both) => void {
  output.write("\x1b[2J");
  return (seen) => {
    const { rows } = sizeOf(Deno.stdout) ?? { rows: 24 };
    const lines = [...problemsIn(seen).map((problem) => `(${problem})`), ...linesOf(seen)];
    const room = Math.max(2, rows - 1);
    const shown = lines.length <= room
      ? lines
      : [...lines.slice(0, room - 1), `… ${lines.length - room + 1} more lines: gilly status shows them`];
    output.write(`\x1b[H${shown.map((line) => `${line}\x1b[K\n`).join("")}\x1b[J`);
  };
}

/** Returns a function that appends changed states; a change of ages alone is ignored. */
function inLines(json: boolean, output: Output): (seen: Both) => void {
  let last: string | undefined;
  return (seen) => {
    const { daemon, proxy, redirected } = seen;
    const news = JSON.stringify([
      daemon.state === undefined ? daemon : newsIn({ ...daemon.state, writtenAt: "" }),
      proxy.state === undefined ? null : { ...proxy.state, writtenAt: "" },
      [...redirected],
    ]);
    if (news === last) return;
    const gap = last === undefined ? "" : "\n";
    last = news;
    output.write(json ? `${printableJson(asJson(seen))}\n` : `${gap}${linesOf(seen).join("\n")}\n`);
  };
}
