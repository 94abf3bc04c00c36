// Real faults, all on one worker - runtime, mirror, kubelet and the compiled program - or on a part of
// one. Every row is a step of one test, so that it starts only once.

import { assertEquals } from "@std/assert";
import { Gilly } from "../e2e/gilly.ts";
import { withWorker, type Worker, type WorkerOptions } from "../e2e/worker.ts";
import { note, type Scenario } from "../scenarios/scenario.ts";
import { missingForEndToEnd, testIfPossible } from "../support/requirements.ts";

/** What is done to a part of the worker, and what must be true. */
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
  /** Whether the rows run at once, because they do not disturb each other. */
  readonly atOnce: boolean;
  /** Prepares what the rows share and passes it to `use`. */
  prepare(worker: Worker, use: (scene: Scene) => Promise<void>): Promise<void>;
}

/** Registers one test with a step for each row, on a worker. */
export function triedForReal<Scene>({ worker, prepare, ...rest }: RealRows<Scene>): void {
  triedTogether<Scene>({
    ...rest,
    on: "a real worker",
    missing: missingForEndToEnd(),
    prepare: (use) => withWorker(worker ?? {}, (worker) => prepare(worker, use)),
  });
}

/** Registers one test with a step for each row, on whatever `prepare` starts, named `on`. */
export function triedTogether<Scene>(
  { subject, rows, atOnce, on, missing, prepare }: Pick<RealRows<Scene>, "subject" | "rows" | "atOnce"> & {
    readonly on: string;
    readonly missing: readonly string[];
    prepare(use: (scene: Scene) => Promise<void>): Promise<void>;
  },
): void {
  const scenarioOf = ({ what, holds }: RealRow<Scene>): Scenario => ({ subject, what, means: "real", holds });
  if (missing.length > 0) { for (const row of rows) note({ ...scenarioOf(row), result: "not run", seconds: 0 }); }
  testIfPossible(`${subject}, ${on}, ${rows.length} faults`, missing, async (t) => {
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
    await prepare(async (scene) => {
      if (atOnce) await Promise.all(rows.map((row) => step(row, scene)));
      else for (const row of rows) await step(row, scene);
      assertEquals(failed, [], "rows that failed");
    });
  });
}

/** A pod with one container whose image has its own rule, so that each row can have a mirror. */
export interface Patient {
  readonly name: string;
  /** `NAME.example/acme/NAME:1`. */
  readonly image: string;
  /** The id of the image that the mirror serves. */
  readonly id: string;
}

/** Puts an image for `name` into a mirror, and makes a pod that waits for it under its original name. */
export async function admit(worker: Worker, name: string, mirror = 0): Promise<Patient> {
  const image = `${name}.example/acme/${name}:1`;
  const id = await worker.seed(mirror, `acme/${name}:1`);
  await worker.addPod({ name, containers: [{ name: "app", image }] });
  return { name, image, id };
}

/** Waits until the kubelet has failed to pull every patient's image. */
export async function allFail(worker: Worker, patients: readonly Patient[]): Promise<void> {
  await Promise.all(
    patients.map(({ name }) => worker.waitForReason(name, "app", ["ErrImagePull", "ImagePullBackOff"])),
  );
}

/** Waits until the pod runs; its original name must have the image that the mirror serves. */
export async function recovers(worker: Worker, gilly: Gilly, { name, image, id }: Patient): Promise<void> {
  await worker.waitForRunning(name);
  assertEquals(await worker.imageId(image), id);
  await gilly.waitForLine(new RegExp(`\\[Repair\\] +(?:repaired ${image} for|${image} is already present)`));
}

/** Asserts that the name has no image while its mirror fails. */
export async function staysNameless(worker: Worker, { image }: Patient): Promise<void> {
  assertEquals(await worker.imageId(image), undefined, `${image} has an image before any mirror served it`);
}

/** Runs `use` with a daemon, which must still run afterward and exit with code 0. */
export async function withDaemon(
  config: string,
  logFile: string,
  use: (gilly: Gilly) => Promise<void>,
): Promise<void> {
  await using gilly = new Gilly(["run", "--config", config], { logFile });
  await use(gilly);
  assertEquals((await gilly.end("SIGTERM")).code, 0);
}
