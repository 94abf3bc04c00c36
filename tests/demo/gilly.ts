// Runs the real program as a child, with the permissions it has as a service, and hands its journal over line by line.

import { PROJECT } from "../../tools/deno.ts";
import { permissions, withoutServiceManager } from "../support/program.ts";

/** A running `gilly run`. */
export interface RunningGilly {
  /** Resolves with the exit code once it has ended and every line was handed over. */
  readonly ended: Promise<number>;
  /** Ends it as systemd does, SIGTERM first; answers the exit code, which is 137 when that was not enough. */
  stop(): Promise<number>;
}

/** How long it may take to end, in milliseconds. */
const STOP_TIMEOUT_MS = 3_000;

/** Starts `gilly run` with that config; every line it writes goes to `onLine`. */
export function runGilly(configFile: string, onLine: (line: string) => void): RunningGilly {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", ...permissions(), "main.ts", "run", "--config", configFile],
    cwd: PROJECT,
    // A service manager would give it a folder for its state.
    env: { ...withoutServiceManager(), RUNTIME_DIRECTORY: configFile.replace(/\/[^/]*$/, "") },
    clearEnv: true,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const lines = handOver(child.stderr, onLine);
  const ended = Promise.all([child.status, lines]).then(([{ code }]) => code);
  return {
    ended,
    async stop() {
      kill(child, "SIGTERM");
      const timer = setTimeout(() => kill(child, "SIGKILL"), STOP_TIMEOUT_MS);
      return await ended.finally(() => clearTimeout(timer));
    },
  };
}

function kill(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch {
    // It has ended by itself.
  }
}

async function handOver(stream: ReadableStream<Uint8Array<ArrayBuffer>>, onLine: (line: string) => void) {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    lines.forEach(onLine);
  }
  if (rest !== "") onLine(rest);
}
