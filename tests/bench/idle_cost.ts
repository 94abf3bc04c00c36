// What Gilly costs a node on which nothing happens: CPU time, memory, and requests to the kubelet.

import { delay } from "@std/async/delay";
import { type FakeDockerEngine, startDockerEngine } from "../fakes/docker_engine.ts";
import { missingForBinary } from "../support/requirements.ts";
import { startDaemon } from "./daemon.ts";
import { type Finding, fixed, type Measurement, median, megabytes, type RunOptions } from "./measurement.ts";
import { steadyNode } from "./pods.ts";
import { cpuSecondsOf, type Memory, memoryOf } from "./process.ts";
import { type FixedKubelet, startFixedKubelet } from "./stand_ins.ts";

const POD_COUNTS = [12, 110, 1000];

/** The measurements from one pass to a later one, the cycle that an idle daemon repeats. */
interface Period {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly requests: number;
  readonly memory: Memory;
}

export const idleCost: Measurement = {
  name: "idle_cost",
  title: "Idle cost",
  missing: missingForBinary,
  async run(options: RunOptions): Promise<Finding> {
    const scenes = POD_COUNTS.flatMap((pods) => [{ pods, events: true }, { pods, events: false }]);
    // Run all at once to save time: a period takes a minute, and idle processes do not disturb each
    // other.
    const found = await Promise.all(scenes.map(async (scene) => ({ ...scene, periods: await idle(scene, options) })));
    const rows = found.map(({ pods, events, periods }) => [
      fixed(pods),
      events ? "events" : "polling",
      fixed(cpuPerHour(periods), 1),
      fixed(median(periods.map(({ memory }) => memory.rss)) / 1e6),
      megabytes(median(periods.map(({ memory }) => memory.anonymous))),
      fixed(Math.max(...periods.map(({ memory }) => memory.peak)) / 1e6),
      fixed(3600 * median(periods.map(({ requests, seconds }) => requests / seconds))),
    ]);
    const wanted = found.find(({ pods, events }) => pods === 110 && events)!.periods;
    const anonymous = median(wanted.map(({ memory }) => memory.anonymous)) / 1e6;
    const size = steadyNode(1000).byteLength / 1000;
    return {
      method:
        `The compiled daemon beside stand-ins: a kubelet that serves pods of ${fixed(size)} bytes each, and a Docker ` +
        `Engine that either offers its events or refuses them. Measured from one pass to the next, ` +
        `${wanted.length} times, and scaled to an hour; memory is read right before a pass. Medians, the peak is the largest.`,
      headings: ["pods", "woken by", "CPU s/h", "RSS MB", "anonymous MB", "peak RSS MB", "requests/h"],
      rows,
      aims: [
        { what: "CPU at 110 pods, woken by events", measured: cpuPerHour(wanted), limit: 4, unit: " s/h", digits: 1 },
        { what: "anonymous memory at 110 pods", measured: anonymous, limit: 24, unit: " MB", digits: 1 },
      ],
      notes: [
        "RSS counts the pages of the program's own file too, which the kernel drops when it needs them and which every " +
        "other Gilly on the machine would share.",
        "For orientation, the original (Go 1.19) on the same machine: 7.9 MB RSS at 110 pods, 23 MB at 1,000, 12 requests " +
        "an hour.",
        ...(options.quick ? ["Quick: a safety poll every 10 s instead of every 60 s."] : []),
      ],
    };
  },
};

function cpuPerHour(periods: readonly Period[]): number {
  return 3600 * median(periods.map(({ cpuSeconds, seconds }) => cpuSeconds / seconds));
}

async function idle(
  { pods, events }: { readonly pods: number; readonly events: boolean },
  { quick, say }: RunOptions,
): Promise<Period[]> {
  const dir = await Deno.makeTempDir({ prefix: "gilly-bench-" });
  const engine = await startDockerEngine({ socket: `${dir}/docker.sock` });
  if (!events) refuseEvents(engine);
  await using kubelet = startFixedKubelet(steadyNode(pods));
  try {
    await using daemon = await startDaemon(dir, kubelet, engine.socket, quick ? { poll: { safety: "10s" } } : {});
    // The first passes follow the start; after them the schedule is steady.
    await delay(quick ? 4000 : 15_000);
    const periods: Period[] = [];
    // Polling passes are so frequent that a period of one pass would be too short to measure.
    const passesPerPeriod = events ? 1 : quick ? 2 : 12;
    await nextPass(kubelet);
    for (let count = 0; count < (quick ? 1 : 5); count++) {
      periods.push(await measurePeriod(daemon.pid, kubelet, passesPerPeriod));
      say(`idle at ${pods} pods, ${events ? "events" : "polling"}: period ${count + 1}`);
    }
    return periods;
  } finally {
    await engine.stop();
    await Deno.remove(dir, { recursive: true });
  }
}

async function measurePeriod(pid: number, kubelet: FixedKubelet, passes: number): Promise<Period> {
  const start = performance.now();
  const cpuBefore = await cpuSecondsOf(pid);
  const before = kubelet.requests;
  let memory = await memoryOf(pid);
  while (kubelet.requests < before + passes) {
    memory = await memoryOf(pid);
    await delay(LOOK_MS);
  }
  const seconds = (performance.now() - start) / 1000;
  return { seconds, cpuSeconds: await cpuSecondsOf(pid) - cpuBefore, requests: kubelet.requests - before, memory };
}

/** Pause between two checks for a pass. Reading a process's memory costs only the reader. */
const LOOK_MS = 500;

async function nextPass(kubelet: FixedKubelet): Promise<void> {
  const before = kubelet.requests;
  while (kubelet.requests === before) await delay(LOOK_MS);
}

function refuseEvents(engine: FakeDockerEngine): void {
  engine.intercept = (call) =>
    call.path === "/events" ? Response.json({ message: "no events here" }, { status: 500 }) : undefined;
}
