// Faults that are made for real, all on one worker: Docker Engine, mirror, kubelet and the compiled program. Every row is
// a step of one test, so that the worker is started once.

import { assertEquals } from "@std/assert";
import { Gilly } from "../e2e/gilly.ts";
import { withWorker, type Worker, type WorkerOptions } from "../e2e/worker.ts";
import { note, type Scenario } from "../scenarios/scenario.ts";
import { missingForEndToEnd } from "../support/requirements.ts";
import { testIfPossible } from "../support/requirements.ts";

/** What is done to which part of the worker, and what must hold. */
export interface RealRow<Scene> {
  readonly what: string;
  readonly holds: string;
  run(scene: Scene): Promise<void>;
}

/** How the rows of a file are run. */
export interface RealRows<Scene> {
  readonly subject: Scenario["subject"];
  readonly worker?: WorkerOptions;
  readonly rows: readonly RealRow<Scene>[];
  /** Rows that do not disturb each other run at once. */
  readonly atOnce: boolean;
  /** Makes ready what the rows share, and hands it to them. */
  prepare(worker: Worker, use: (scene: Scene) => Promise<void>): Promise<void>;
}

/** Registers one test with a step for each row. */
export function triedForReal<Scene>({ subject, worker, rows, atOnce, prepare }: RealRows<Scene>): void {
  const missing = missingForEndToEnd();
  const scenarioOf = ({ what, holds }: RealRow<Scene>): Scenario => ({ subject, what, means: "real", holds });
  if (missing.length > 0) { for (const row of rows) note({ ...scenarioOf(row), result: "not run", seconds: 0 }); }
  testIfPossible(`${subject}, a real worker, ${rows.length} faults`, missing, async (t) => {
    const failed: string[] = [];
    const step = async (row: RealRow<Scene>, scene: Scene) => {
      const start = performance.now();
      const passed = await t.step({
        name: `${row.what}: ${row.holds}`,
        fn: () => row.run(scene),
        sanitizeOps: !atOnce,
        sanitizeResources: !atOnce,
        sanitizeExit: !atOnce,
      });
      note({ ...scenarioOf(row), result: passed ? "passed" : "failed", seconds: (performance.now() - start) / 1000 });
      if (!passed) failed.push(row.what);
    };
    await withWorker(worker ?? {}, (worker) =>
      prepare(worker, async (scene) => {
        if (atOnce) await Promise.all(rows.map((row) => step(row, scene)));
        else for (const row of rows) await step(row, scene);
        assertEquals(failed, [], "rows that failed");
      }));
  });
}

/** A pod with one container whose image has a rule of its own, so that each row can be given a mirror. */
export interface Patient {
  readonly name: string;
  /** `NAME.example/acme/NAME:1`. */
  readonly image: string;
  /** Of the image that the mirror serves. */
  readonly id: string;
}

/** Puts an image for `name` into a mirror, and makes a pod that waits for it under its original name. */
export async function admit(worker: Worker, name: string, mirror = 0): Promise<Patient> {
  const image = `${name}.example/acme/${name}:1`;
  const id = await worker.seed(mirror, `acme/${name}:1`);
  await worker.addPod({ name, containers: [{ name: "app", image }] });
  return { name, image, id };
}

/** Waits until the kubelet has failed on every unaborted. */
export async function allFail(worker: Worker, patients: readonly Patient[]): Promise<void> {
  await Promise.all(
    patients.map(({ name }) => worker.waitForReason(name, "app", ["ErrImagePull", "ImagePullBackOff"])),
  );
}

/** The pod runs, under its original name is what the mirror serves, and nothing else ever was. */
export async function recovers(worker: Worker, gilly: Gilly, { name, image, id }: Patient): Promise<void> {
  await worker.waitForRunning(name);
  assertEquals(await worker.imageId(image), id);
  await gilly.waitForLine(new RegExp(`\\[Repair\\] +(?:repaired ${image} for|${image} is already present)`));
}

/** A mirror failed for a while: nothing stands under the name. */
export async function staysNameless(worker: Worker, { image }: Patient): Promise<void> {
  assertEquals(await worker.imageId(image), undefined, `${image} has an image before any mirror served it`);
}

/** The daemon, which must live to be ended. */
export async function withDaemon(
  config: string,
  logFile: string,
  use: (gilly: Gilly) => Promise<void>,
): Promise<void> {
  await using gilly = new Gilly(["run", "--config", config], { logFile });
  await use(gilly);
  assertEquals((await gilly.end("SIGTERM")).code, 0);
}
