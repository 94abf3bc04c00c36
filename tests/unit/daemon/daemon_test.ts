import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Daemon, type DaemonSettings, type Reloaded } from "../../../lib/daemon/daemon.ts";
import { compileExclusions } from "../../../lib/images/exclusions.ts";
import { compileRules } from "../../../lib/images/rules.ts";
import { KubeletError } from "../../../lib/kubelet/errors.ts";
import { type PodList, readPodList } from "../../../lib/kubelet/pods.ts";
import { LogMessages } from "../../../lib/log/messages.ts";
import type { NodeContext, ProcessContext } from "../../../lib/pass.ts";
import type { Ledger, LedgerEntry } from "../../../lib/record/entry.ts";
import { noLedger } from "../../../lib/record/ledger.ts";
import { emptyMemory } from "../../../lib/record/memory.ts";
import { Recorder } from "../../../lib/record/recorder.ts";
import { Activity } from "../../../lib/repair/activity.ts";
import { type Observer, tellAll } from "../../../lib/repair/observer.ts";
import { Repairs } from "../../../lib/repair/queue.ts";
import { RuntimeError } from "../../../lib/runtime/errors.ts";
import { InstrumentedRuntime } from "../../../lib/runtime/instrumented.ts";
import { type PulledImage } from "../../../lib/runtime/runtime.ts";
import type { NodeState } from "../../../lib/status/node_state.ts";
import type { Clock } from "../../../lib/support/clock.ts";
import { listOf, waitingPod } from "../../fakes/pods.ts";
import { image, MemoryRuntime, openMirrors } from "../../fakes/runtime.ts";

type Sent = { ready?: true; reloading?: true; stopping?: true; status?: string; watchdog?: true };

/** Returns a daemon whose kubelet is `pods`, its output, and a way to wait for what it sends. */
function scene(
  pods: (signal: AbortSignal) => Promise<PodList>,
  options: {
    readonly runtime?: MemoryRuntime;
    readonly keep?: string[];
    readonly ledger?: Ledger;
    /** Polls once an hour and gets no events, so that only retries trigger a pass. */
    readonly still?: boolean;
    readonly redirected?: ReadonlySet<string>;
  } = {},
) {
  const { runtime = new MemoryRuntime(), keep = [], ledger = noLedger, still = false, redirected = new Set() } =
    options;
  const pollSeconds = still ? 3600 : 0.02;
  const backoff = { initialSeconds: still ? 0.02 : 10, maxSeconds: 300 };
  const stop = new AbortController();
  const said: string[] = [];
  const sent: Sent[] = [];
  const states: NodeState[] = [];
  const waiters = new Set<() => void>();
  const messages = new LogMessages((level, tag, text) => said.push(`${level} [${tag}] ${text}`), Date.now);
  const clock: Clock = { now: Date.now, wallTime: (at = Date.now()) => at };
  const observers: Observer[] = [messages];
  const observer = tellAll(observers);
  const memory = emptyMemory(backoff);
  const recorder = new Recorder({ observer, clock, memory, askedBy: "the keep list" });
  recorder.follow(ledger);
  observers.push(recorder);
  const repairs = new Repairs({ observer, clock, random: () => 0, signal: stop.signal });
  const process: ProcessContext = {
    ...{ clock, random: () => 0.5, observer, repairs, recorder, activity: new Activity(), memory },
    observe: (another) => void observers.push(another),
    async settled() {
      await repairs.drained();
      await recorder.settled();
    },
  };
  let closed = 0;
  const instrumented = new InstrumentedRuntime(runtime, {}, clock.now);
  if (still) instrumented.events = () => new Promise(() => {});
  const node = (file = "config.yaml"): NodeContext<DaemonSettings> => ({
    config: {
      file,
      poll: { intervalSeconds: pollSeconds, safetySeconds: pollSeconds, jitter: 0 },
      keep,
      repair: { mode: "on-failure" },
    },
    kubelet: { host: "https://node:10250", pods },
    runtime: instrumented,
    mirrors: openMirrors(),
    veto: () => undefined,
    registries: compileRules([{ origin: "gcr.io", mirrors: ["m.example"] }]),
    exclusions: compileExclusions({ images: [], namespaces: [] }),
    canAliasDigest: () => Promise.resolve(false),
    redirectedHosts: () => Promise.resolve(redirected),
    close: () => void closed++,
  });
  let reload = (): Promise<Reloaded> => Promise.resolve({ result: "reloaded", node: node("new.yaml") });
  const daemon = new Daemon({
    process,
    node: node(),
    serviceManager: {
      send: (fields) => {
        sent.push(fields);
        for (const waiter of waiters) waiter();
        return Promise.resolve();
      },
    },
    reload: () => reload(),
    identity: { gilly: "0.0.0", pid: 1, startedAt: 0 },
    stateFile: { publish: (state) => void states.push(state) },
    signal: stop.signal,
  });
  observers.push(daemon);
  /** Resolves once `condition` is true; checks it again after each message to systemd. */
  const until = async (condition: () => boolean) => {
    while (!condition()) {
      const next = Promise.withResolvers<void>();
      waiters.add(next.resolve);
      await next.promise;
      waiters.delete(next.resolve);
    }
  };
  return {
    daemon,
    stop: () => stop.abort(),
    said,
    sent,
    states,
    until,
    repairs,
    closedCount: () => closed,
    reloadWith: (fn: () => Promise<Reloaded>) => void (reload = fn),
  };
}

const list = (...pods: unknown[]) => readPodList(listOf(...pods));
const fed = (sent: Sent[]) => sent.filter(({ watchdog }) => watchdog).length;

Deno.test("readiness does not wait for the kubelet", async () => {
  const it = scene(() => Promise.reject(new KubeletError("unreachable", "no answer from https://node:10250/pods")));
  const running = it.daemon.run();
  await it.until(() => fed(it.sent) > 1);
  assertEquals(it.sent[0]?.ready, true);
  assertStringIncludes(it.sent.at(-1)!.status!, "no answer from https://node:10250/pods");
  it.stop();
  await running;
  assertEquals(it.said.filter((line) => line.startsWith("warning [GetPods]")).length, 1);
});

Deno.test("passes never overlap, however slow the kubelet is", async () => {
  let inside = 0;
  let most = 0;
  const it = scene(async () => {
    most = Math.max(most, ++inside);
    await Promise.resolve();
    inside--;
    return list();
  });
  const running = it.daemon.run();
  await it.until(() => fed(it.sent) > 5);
  it.stop();
  await running;
  assertEquals(most, 1);
});

Deno.test("a pass that hangs does not feed the watchdog", async () => {
  const asked = Promise.withResolvers<void>();
  const it = scene((signal) => {
    asked.resolve();
    return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  });
  const running = it.daemon.run();
  await asked.promise;
  assertEquals(fed(it.sent), 0);
  it.stop();
  await running;
  assertEquals(fed(it.sent), 0);
});

Deno.test("the watchdog is fed during a long pull, which starts once and ends when the daemon stops", async () => {
  const runtime = new MemoryRuntime({ "m.example/a/b:1": new Promise(() => {}) });
  const it = scene(() => Promise.resolve(list(waitingPod("app", "gcr.io/a/b:1"))), { runtime });
  const running = it.daemon.run();
  await it.until(() => fed(it.sent) > 5);
  assertMatch(it.daemon.status(), /^Checked 1 pods \d+ s ago: 1 repairing, 0 unrepairable; 0 repaired since start$/);
  assertEquals(runtime.calls.filter((call) => call.startsWith("pull")).length, 1);
  it.stop();
  await running;
  assertEquals([it.repairs.count, it.sent.at(-1)?.stopping], [0, true]);
});

Deno.test("a repair that fails long after its pass is retried at the announced time", async () => {
  const refusal = Promise.withResolvers<PulledImage>();
  const runtime = new MemoryRuntime({ "m.example/a/b:1": refusal.promise });
  const it = scene(() => Promise.resolve(list(waitingPod("app", "gcr.io/a/b:1"))), { runtime, still: true });
  const running = it.daemon.run();
  await it.until(() => it.repairs.count === 1 && fed(it.sent) > 0);
  runtime.pulls["m.example/a/b:1"] = { image: image("1") };
  refusal.reject(new RuntimeError("registry-down", "pull m.example/a/b:1: i/o timeout"));
  await it.until(() => it.repairs.repaired === 1);
  assertEquals([it.repairs.failed, it.said.filter((line) => line.includes("next try in 1 s")).length], [1, 1]);
  it.stop();
  await running;
});

Deno.test("a kept image that failed is retried after its back-off", async () => {
  const refusal = Promise.withResolvers<PulledImage>();
  const runtime = new MemoryRuntime({ "m.example/pause:3.2": refusal.promise });
  const it = scene(() => Promise.resolve(list()), { runtime, keep: ["gcr.io/pause:3.2"], still: true });
  const running = it.daemon.run();
  await it.until(() => it.repairs.count === 1);
  runtime.pulls["m.example/pause:3.2"] = { image: image("pause") };
  refusal.reject(new RuntimeError("registry-down", "pull m.example/pause:3.2: i/o timeout"));
  await it.until(() => it.repairs.repaired === 1);
  assertEquals(it.repairs.failed, 1);
  it.stop();
  await running;
});

Deno.test("an Engine that does not answer for a kept image is not queried again before the next poll", async () => {
  const runtime = new MemoryRuntime();
  runtime.failures.inspect = new RuntimeError("unreachable", "inspect gcr.io/pause:3.2: no usable answer");
  const it = scene(() => Promise.resolve(list()), { runtime, keep: ["gcr.io/pause:3.2"], still: true });
  const running = it.daemon.run();
  await it.until(() => it.said.some((line) => line.includes("no usable answer")) && fed(it.sent) > 1);
  it.stop();
  await running;
  assertEquals(runtime.calls.filter((call) => call.startsWith("inspect")).length, 1);
});

Deno.test("the status line counts what was repaired and what cannot be", async () => {
  const runtime = new MemoryRuntime({ "m.example/a/b:1": { image: image("1") } });
  const pods = [waitingPod("app", "gcr.io/a/b:1"), waitingPod("other", "ghcr.io/a/b:1")];
  const it = scene(() => Promise.resolve(list(...pods)), { runtime });
  const running = it.daemon.run();
  await it.until(() => it.repairs.repaired === 1 && fed(it.sent) > 2);
  assertEquals(
    it.daemon.status().replace(/\d+ s ago/, "N s ago"),
    "Checked 2 pods N s ago: 0 repairing, 1 unrepairable; 1 repaired since start",
  );
  it.stop();
  await running;
});

Deno.test("an unexpected failure costs one pass and is logged as an error", async () => {
  let asked = 0;
  const it = scene(() => asked++ === 0 ? Promise.reject(new TypeError("surprise")) : Promise.resolve(list()));
  const running = it.daemon.run();
  await it.until(() => asked > 2);
  it.stop();
  await running;
  assert(it.said.includes("error [Main] this pass failed: surprise"));
});

Deno.test("a reload puts the new config in force and tells systemd when it begins and ends", async () => {
  const it = scene(() => Promise.resolve(list()));
  const running = it.daemon.run();
  await it.until(() => fed(it.sent) > 0);
  it.sent.splice(0);
  it.daemon.askReload();
  await it.until(() => it.sent.some(({ ready }) => ready));
  assertEquals(it.sent.filter((sent) => sent.reloading || sent.ready).map(({ reloading }) => reloading ?? false), [
    true,
    false,
  ]);
  assert(it.said.includes("info [Config] new.yaml is in force"));
  it.stop();
  await running;
  assertEquals(it.closedCount(), 2);
});

Deno.test("a refused config is reported in the journal and the status, and the old one stays in force", async () => {
  const it = scene(() => Promise.resolve(list()));
  const mistakes = "config.yaml:3: poll.interval: expected a duration";
  it.reloadWith(() => Promise.resolve({ result: "refused", mistakes }));
  const running = it.daemon.run();
  await it.until(() => fed(it.sent) > 0);
  it.daemon.askReload();
  await it.until(() => it.daemon.status().startsWith("config.yaml was refused, the old config stays in force; "));
  const refused = it.said.find((line) => line.startsWith("error [Config]"));
  assertStringIncludes(refused!, mistakes);
  const before = fed(it.sent);
  await it.until(() => fed(it.sent) > before + 2);
  it.stop();
  await running;
});

Deno.test("a kept image is pulled at start, and again after an event reports that images were removed", async () => {
  const runtime = new MemoryRuntime({ "m.example/pause:3.2": { image: image("pause") } });
  const it = scene(() => Promise.resolve(list()), { runtime, keep: ["gcr.io/pause:3.2"] });
  const running = it.daemon.run();
  await it.until(() => it.repairs.repaired === 1);
  assert(runtime.images.has("gcr.io/pause:3.2"));
  await it.until(() => runtime.calls.at(-1) === "inspect gcr.io/pause:3.2" && !it.repairs.underWay("gcr.io/pause:3.2"));
  const before = fed(it.sent);
  const calls = runtime.calls.length;
  await it.until(() => fed(it.sent) > before + 3);
  assert(runtime.calls.length <= calls + 1, "a kept image that is there is not looked at with every pass");
  runtime.images.clear();
  runtime.happen("image-removed");
  await it.until(() => it.repairs.repaired === 2);
  assertEquals(it.said.filter((line) => line.includes("warning")), []);
  it.stop();
  await running;
});

Deno.test("a kept image without a rule is warned about once", async () => {
  const it = scene(() => Promise.resolve(list()), { keep: ["ghcr.io/pause:3.2"] });
  const running = it.daemon.run();
  await it.until(() => fed(it.sent) > 3);
  it.stop();
  await running;
  const warnings = it.said.filter((line) => line.startsWith("warning"));
  assertEquals(warnings.length, 1);
  assertStringIncludes(warnings[0]!, "cannot keep ghcr.io/pause:3.2: no-rule:");
});

Deno.test("a kept digest that the registry proxy can serve gets no advice to install it", async () => {
  const keep = [`gcr.io/a/b@sha256:${"0".repeat(64)}`];
  const it = scene(() => Promise.resolve(list()), { keep, redirected: new Set(["gcr.io"]) });
  const running = it.daemon.run();
  await it.until(() => it.said.some((line) => line.startsWith("warning [Keep]")));
  it.stop();
  await running;
  assertStringIncludes(it.said.join("\n"), "pulls of gcr.io are led to the registry proxy, which can serve it");
});

Deno.test("the state is published before the first pass, with every pass, and while the kubelet does not answer", async () => {
  let answers = true;
  const it = scene(() =>
    answers
      ? Promise.resolve(list(waitingPod("other", "ghcr.io/a/b:1")))
      : Promise.reject(new KubeletError("unreachable", "no answer from https://node:10250/pods"))
  );
  const running = it.daemon.run();
  await it.until(() => it.states.some(({ podCount }) => podCount === 1));
  assertEquals([it.states[0]?.podCount, it.states[0]?.configFile], [null, "config.yaml"]);
  assertEquals(it.states.at(-1)?.containers.map(({ pod, state }) => [pod, state]), [["other", "unrepairable"]]);
  answers = false;
  await it.until(() => it.states.at(-1)?.trouble.pass !== null);
  assertStringIncludes(it.states.at(-1)!.trouble.pass!, "no answer from https://node:10250/pods");
  assertEquals(it.states.at(-1)?.containers.length, 1, "what was seen last is still known");
  it.stop();
  await running;
});

Deno.test("a refusal is recorded once, however many passes see it", async () => {
  const entries: LedgerEntry[] = [];
  const it = scene(() => Promise.resolve(list(waitingPod("other", "ghcr.io/a/b:1"))), {
    ledger: { append: (entry) => Promise.resolve(void entries.push(entry)) },
  });
  const running = it.daemon.run();
  await it.until(() => fed(it.sent) > 4);
  it.stop();
  await running;
  assertEquals(entries.map(({ result, reason, pods }) => [result, reason, pods]), [
    ["unrepairable", "no-rule", ["default/other"]],
  ]);
});
