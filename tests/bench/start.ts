// How soon after its execution Gilly is ready, as seen by its service manager.

import { startDockerEngine } from "../fakes/docker_engine.ts";
import { GILLY, missingForBinary } from "../support/requirements.ts";
import { startDaemon } from "./daemon.ts";
import { type Finding, fixed, type Measurement, median, megabytes, type RunOptions } from "./measurement.ts";
import { steadyNode } from "./pods.ts";
import { startFixedKubelet } from "./stand_ins.ts";

export const start: Measurement = {
  name: "start",
  title: "Start",
  missing: missingForBinary,
  async run({ quick, say }: RunOptions): Promise<Finding> {
    const ready: number[] = [];
    const version: number[] = [];
    await using kubelet = startFixedKubelet(steadyNode(110));
    for (let run = 0; run < (quick ? 5 : 20); run++) {
      say(`start ${run + 1}`);
      version.push(await timeOfVersion());
      ready.push(await timeToReady(kubelet));
    }
    const { size } = await Deno.stat(GILLY);
    const row = (what: string, times: readonly number[]) => [what, fixed(median(times)), fixed(Math.max(...times))];
    return {
      method:
        `From the execution of the compiled program to READY=1 at its service manager, beside \`gilly version\`, ` +
        `which only starts and ends; ${ready.length} runs each.`,
      headings: ["milliseconds", "median", "max"],
      rows: [row("`gilly run` to READY=1", ready), row("`gilly version` to its end", version)],
      aims: [{ what: "start, median", measured: median(ready), limit: 300, unit: " ms" }],
      notes: [`The program is one file of ${megabytes(size)} MB, Deno's runtime included.`],
    };
  },
};

async function timeToReady(kubelet: ReturnType<typeof startFixedKubelet>): Promise<number> {
  const dir = await Deno.makeTempDir({ prefix: "gilly-bench-" });
  const engine = await startDockerEngine({ socket: `${dir}/docker.sock` });
  try {
    await using daemon = await startDaemon(dir, kubelet, engine.socket, {});
    return daemon.millisecondsToReady;
  } finally {
    await engine.stop();
    await Deno.remove(dir, { recursive: true });
  }
}

async function timeOfVersion(): Promise<number> {
  const before = performance.now();
  await new Deno.Command(GILLY, { args: ["version"], stdout: "null" }).output();
  return performance.now() - before;
}
