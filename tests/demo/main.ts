// `deno task demo`: shows Gilly repairing a worker that cannot reach gcr.io, quay.io and
// k8s.gcr.io. Needs no cluster, no Docker and no network; exits with 0 if every repairable pod
// runs.

import { tableLines } from "../../lib/support/table.ts";
import { wrap } from "../../lib/support/text.ts";
import { sleep } from "../../lib/support/timeouts.ts";
import type { Gilly } from "../e2e/gilly.ts";
import type { ContainerView } from "../fakes/kubelet_pods.ts";
import type { FakeNode } from "../fakes/node.ts";
import { startProgram } from "../support/program.ts";
import { startProxyScene } from "./proxy.ts";
import { startWorker, UNREPAIRABLE } from "./worker.ts";

/** How long Gilly may take before the demo gives up. */
const PATIENCE_MS = 15_000;
/** Time between two syncs of the fake kubelet; a real one retries every 10 to 15 seconds. */
const SYNC_MS = 500;

/** Columns of the narrowest terminal that the demo supports. */
const WIDTH = 80;
/** The indentation of a line, and of its continuation lines. */
const INDENT = "  ";
const HANGING = "      ";

const interrupted = new AbortController();
const interrupt = () => interrupted.abort();
Deno.addSignalListener("SIGINT", interrupt);
Deno.addSignalListener("SIGTERM", interrupt);
const worker = await startWorker();
try {
  Deno.exitCode = await show(worker) || await showProxy();
} finally {
  await worker[Symbol.asyncDispose]();
  Deno.removeSignalListener("SIGINT", interrupt);
  Deno.removeSignalListener("SIGTERM", interrupt);
}

async function show(worker: FakeNode): Promise<number> {
  print(`Before\n\n${pods(worker.kubelet.containers())}\nGilly's journal\n\n`);
  // A pod runs as soon as its image is tagged; the journal reports the repair a moment later.
  const untold = new Set(waiting(worker).map(({ image }) => `repaired ${image} `)).add(
    `cannot repair ${UNREPAIRABLE} `,
  );
  const gilly = startProgram(["run", "--config", worker.configFile], { RUNTIME_DIRECTORY: worker.dir }, (line) => {
    for (const words of untold) if (line.includes(words)) untold.delete(words);
    print(folded(line));
  });
  const started = performance.now();
  const problem = await watch(worker, gilly, untold);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const { code } = await gilly.end();
  const failure = problem ?? misbehavior(code, worker);
  print(`\nAfter ${seconds} s\n\n${pods(worker.kubelet.containers(), " (expected: no rule)")}\n`);
  return failure === undefined ? 0 : failed(failure);
}

function failed(because: string): number {
  print(`The demo failed: ${because}\n`);
  return 1;
}

/** Shows the pods that only the registry proxy can help: Always, and a digest on Docker's classic store. */
async function showProxy(): Promise<number> {
  print("The registry proxy's journal: imagePullPolicy Always, and a digest\n\n");
  await using scene = await startProxyScene((line) => print(folded(line)));
  const views = scene.pods.flatMap((pod) => pod.views());
  print(`\nTheir first pull succeeded\n\n${pods(views)}\n`);
  const waiting = views.filter(({ state }) => state !== "Running").map(({ pod, message }) => `${pod}: ${message}`);
  return waiting.length === 0 ? 0 : failed(`these still wait: ${waiting.join(", ")}.`);
}

function misbehavior(code: number, worker: FakeNode): string | undefined {
  if (code !== 0) return `Gilly ended with exit code ${code} when it was asked to stop.`;
  const [call] = worker.engine.unexpected;
  return call && `Gilly made an unexpected call: ${call}.`;
}

/**
 * Syncs the kubelet until every repairable pod runs and the journal has reported it. Returns the
 * problem if the time is up, Gilly ends or the demo is interrupted first.
 */
async function watch(worker: FakeNode, gilly: Gilly, untold: ReadonlySet<string>) {
  let code: number | undefined;
  const ended = gilly.ended().then((status) => void (code = status));
  const deadline = performance.now() + PATIENCE_MS;
  while (performance.now() < deadline) {
    await Promise.race([sleep(SYNC_MS, interrupted.signal), ended]);
    if (interrupted.signal.aborted) return "it was interrupted.";
    if (code !== undefined) return `Gilly ended with exit code ${code}; its last lines say why.`;
    await worker.kubelet.advance();
    if (waiting(worker).length === 0 && untold.size === 0) return undefined;
  }
  const left = waiting(worker).map(({ namespace, pod, container }) => `${container} of ${namespace}/${pod}`);
  const what = left.length > 0
    ? `these still wait: ${left.join(", ")}`
    : `the journal lacks: ${[...untold].join(", ")}`;
  return `after ${PATIENCE_MS / 1000} s ${what}.`;
}

function waiting(worker: FakeNode) {
  return worker.kubelet.containers().filter(({ image, state }) => image !== UNREPAIRABLE && state !== "Running");
}

function pods(containers: readonly ContainerView[], noteOnUnrepairable = ""): string {
  const rows = containers.map(({ namespace, pod, container, image, state }) => (
    {
      cells: [state, `${namespace}/${pod}`, container],
      note: image + (image === UNREPAIRABLE ? noteOnUnrepairable : ""),
    }
  ));
  const sheet = { titles: ["STATE", "POD, IMAGE", "CONTAINER"], rows, shrinkable: [1], noteColumn: 1 };
  return tableLines(sheet, WIDTH - INDENT.length).map((line) => `${INDENT}${line}\n`).join("");
}

/** Folds a line of the journal between words. */
function folded(line: string): string {
  const [first = "", ...rest] = wrap(line, WIDTH - HANGING.length);
  return [INDENT + first, ...rest.map((part) => HANGING + part)].map((part) => `${part}\n`).join("");
}

function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}
