import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { compileExclusions } from "../../../lib/images/exclusions.ts";
import { compileRules } from "../../../lib/images/rules.ts";
import { scanPods } from "../../../lib/kubelet/failures.ts";
import { readPodList } from "../../../lib/kubelet/pods.ts";
import type { Level } from "../../../lib/log/log.ts";
import { LogMessages, namePods } from "../../../lib/log/messages.ts";
import { makePlan } from "../../../lib/plan/plan.ts";
import { dockerAdvice } from "../../../lib/runtime/docker/advice.ts";
import { RuntimeError } from "../../../lib/runtime/errors.ts";
import { listOf, waitingPod } from "../../fakes/pods.ts";
import { repairOf } from "../../fakes/repairs.ts";

const MINUTE = 60_000;

function scene() {
  const said: [Level, string, string][] = [];
  const clock = { now: 0 };
  const messages = new LogMessages((level, tag, text) => said.push([level, tag, text]), () => clock.now);
  const look = (...pods: unknown[]) => {
    const list = readPodList(listOf(...pods));
    const { failures } = scanPods(list.pods);
    const plan = makePlan(failures, {
      registries: compileRules([{ origin: "gcr.io", mirrors: ["m.example"] }]),
      exclusions: compileExclusions({ images: [], namespaces: ["quiet"] }),
      canAliasDigest: undefined,
      redirected: new Set(),
      retry: () => undefined,
      underWay: () => false,
      now: clock.now,
    });
    messages.looked(list, failures, plan);
    return said.splice(0);
  };
  const heard = (level: Level) =>
    said.splice(0).filter(([it]) => it === level).map(([, tag, text]) => `[${tag}] ${text}`);
  return { said, clock, messages, look, heard };
}

Deno.test("an unchanged pass is logged at debug, a changed one at info", () => {
  const { look } = scene();
  const levels = (entries: [Level, string, string][]) => new Set(entries.map(([level]) => level));
  const pod = waitingPod("app", "gcr.io/a/b:1");
  assertEquals(levels(look(pod)), new Set(["info", "debug"]));
  assertEquals(levels(look(pod)), new Set(["debug"]));
  assertEquals(levels(look(pod, waitingPod("two", "gcr.io/a/c:1"))).has("info"), true);
});

Deno.test("a waiting reason that alternates is logged at debug only", () => {
  const { look } = scene();
  look(waitingPod("app", "gcr.io/a/b:1", { reason: "ErrImagePull" }));
  const entries = look(waitingPod("app", "gcr.io/a/b:1", { reason: "ImagePullBackOff" }));
  assertEquals(entries.filter(([level]) => level !== "debug"), []);
});

Deno.test("a container that no longer waits is logged once", () => {
  const { look } = scene();
  look(waitingPod("app", "gcr.io/a/b:1"));
  const text = "Container app in pod app no longer waits for gcr.io/a/b:1";
  assertEquals(look().filter(([, , it]) => it === text).length, 1);
  assertEquals(look().filter(([, , it]) => it === text).length, 0);
});

Deno.test("a skip that needs a person is a warning with advice: once, then after 10, 30 and 60 minutes", () => {
  const { look, clock } = scene();
  const pod = waitingPod("app", "ghcr.io/a/b:1");
  const warned: number[] = [];
  for (let minute = 0; minute <= 200; minute++) {
    clock.now = minute * MINUTE;
    const warnings = look(pod).filter(([level]) => level === "warning");
    if (warnings.length > 0) warned.push(minute);
    for (const [, tag, text] of warnings) {
      assertEquals(tag, "Plan");
      assertStringIncludes(text, "cannot repair ghcr.io/a/b:1 for pod default/app: no-rule:");
    }
  }
  assertEquals(warned, [0, 10, 40, 100]);
});

Deno.test("a pod that disappears and returns is warned about again", () => {
  const { look } = scene();
  const warnings = (entries: [Level, string, string][]) => entries.filter(([level]) => level === "warning").length;
  const pod = waitingPod("app", "ghcr.io/a/b:1");
  assertEquals([warnings(look(pod)), warnings(look(pod)), warnings(look()), warnings(look(pod))], [1, 0, 0, 1]);
});

Deno.test("a pod that the operator excluded is logged at info only", () => {
  const { look } = scene();
  const entries = look(waitingPod("app", "gcr.io/a/b:1", { namespace: "quiet" }));
  assertEquals(entries.find(([, tag]) => tag === "Plan")?.[0], "info");
});

Deno.test("a kubelet that stays away is one warning, and its return is logged", () => {
  const { messages, heard } = scene();
  messages.connected("https://node:10250");
  assertEquals(heard("info"), ["[NewConnection] Established connection to kubelet", "[Main] host: https://node:10250"]);
  messages.connected("https://node:10250");
  assertEquals(heard("info"), []);
  messages.kubeletFailed(new Error("refused"));
  messages.kubeletFailed(new Error("refused"));
  assertEquals(heard("warning"), ["[GetPods] skipped this pass: refused"]);
  messages.connected("https://node:10250");
  assertEquals(heard("info").length, 2);
});

/** The repair of an image. */
const REPAIR = repairOf("gcr.io/a/b:1");

Deno.test("a failing repair is one warning per reason, even if each text differs", () => {
  const { messages, heard, clock } = scene();
  const fail = (message: string, reason?: "denied") =>
    messages.finished({
      repair: REPAIR,
      outcome: { result: "failed", reason, message, attempts: [] },
      seconds: 1,
      nextTrySeconds: 10,
    });
  fail("took 1 s");
  fail("took 2 s");
  assertEquals(heard("warning").length, 1);
  fail("took 3 s", "denied");
  assertEquals(heard("warning").length, 1);
  clock.now = 11 * MINUTE;
  fail("took 4 s", "denied");
  assertEquals(heard("warning").length, 1);
});

Deno.test("of a long failure the next try stays in the warning, and the whole is at debug", () => {
  const { messages, said } = scene();
  const image = `gcr.io/${"a/".repeat(120)}b:1`;
  const failures = scanPods(
    readPodList(listOf(
      ...["a", "b", "c"].map((name) => waitingPod(name.repeat(100), image)),
    )).pods,
  ).failures;
  const message = `the advice: ${"the mirror says so ".repeat(50)}; the auth file`;
  const outcome = { result: "failed", reason: "denied", message, attempts: [] } as const;
  messages.finished({ repair: { ...REPAIR, image, failures }, outcome, seconds: 1, nextTrySeconds: 10 });
  const [[level, , text], [second, , whole], ...others] = said as [[Level, string, string], [Level, string, string]];
  assertEquals([level, second, others], ["warning", "debug", []]);
  assertMatch(
    text,
    /^cannot repair gcr\.io\/\S+… for default\/a+…: denied: the advice: the mirror.*… .*so ; the auth file; next try in 10 s$/,
  );
  assert(text.length <= 480, text);
  assertStringIncludes(whole, `denied: ${message}; next try in 10 s`);
});

Deno.test("what a runtime says of a candidate is told in brief at info, and in full at debug", () => {
  const { messages, said } = scene();
  const candidate = REPAIR.candidates[0]!;
  const attempt = { candidate, failure: "not-found", message: "pull m.example/a/b:1: manifest unknown" } as const;
  messages.candidateFailed(REPAIR, { ...attempt, whole: "pull m.example/a/b:1: manifest unknown: manifest unknown" });
  messages.candidateFailed(REPAIR, attempt);
  assertEquals(said.map(([level, , text]) => `${level} ${text}`), [
    "info no image: pull m.example/a/b:1: manifest unknown",
    "debug no image, in full: pull m.example/a/b:1: manifest unknown: manifest unknown",
    "debug no image: pull m.example/a/b:1: manifest unknown",
  ]);
});

/** What a repair took, when it ended after its detection, and what is said of that; both in seconds. */
const WAITS: readonly (readonly [number, number, string])[] = [
  [0.1, 11.2, "in 0.1 s, 11.2 s after it was detected (from m.example, sha256:1)"],
  [0.1, 1, "in 0.1 s (from m.example, sha256:1)"],
  [11.2, 11.3, "in 11.2 s (from m.example, sha256:1)"],
];

for (const [seconds, after, text] of WAITS) {
  Deno.test(`a repair of ${seconds} s that ends ${after} s after its detection is told as ${text}`, () => {
    const { messages, look, heard, clock } = scene();
    const pod = waitingPod("app", "gcr.io/a/b:1");
    const { failures } = scanPods(readPodList(listOf(pod)).pods);
    look(pod);
    clock.now = 500 * after;
    look(pod, waitingPod("later", "gcr.io/a/b:1"));
    clock.now = 1000 * after;
    const image = { candidate: REPAIR.candidates[0]!, tagged: "gcr.io/a/b:1", id: "sha256:2", digest: "sha256:1" };
    const outcome = { result: "repaired", ...image, bytes: 1, attempts: [] } as const;
    messages.finished({ repair: { ...REPAIR, failures }, outcome, seconds });
    assertEquals(heard("info"), [`[Repair] repaired gcr.io/a/b:1 for default/app ${text}`]);
    // An image for which no pod waits, such as one of the keep list, has no detection.
    messages.finished({ repair: REPAIR, outcome, seconds });
    assertEquals(heard("info").some((it) => it.includes("detected")), false);
  });
}

Deno.test("a refused config is one entry for each mistake", () => {
  const { messages, heard } = scene();
  messages.reloaded("c.yaml", "c.yaml:1: kubelet: no");
  assertEquals(heard("error"), ["[Config] refused c.yaml, the old config stays in force: c.yaml:1: kubelet: no"]);
  messages.reloaded("c.yaml", "c.yaml:1: kubelet: no\nc.yaml:2: docker: no");
  assertEquals(heard("error"), [
    "[Config] refused c.yaml, the old config stays in force: 2 mistakes, the first is c.yaml:1: kubelet: no",
    "[Config] c.yaml:2: docker: no",
  ]);
});

Deno.test("an Engine that does not answer is one warning for all calls, and its return is one line", () => {
  const { messages, heard } = scene();
  const runtime = dockerAdvice("/run/docker.sock");
  const silent = (because: string) => {
    messages.runtimeSilent({ runtime, because });
    return new RuntimeError("unreachable", `follow the events: ${because}`, { silence: { runtime, because } });
  };
  messages.runtimeAnswers();
  messages.eventsBroke(new RuntimeError("unreachable", "the Engine ended the stream"), true);
  messages.eventsBroke(silent("Connection refused"), false);
  messages.eventsBroke(silent("No such file or directory"), false);
  messages.cannotLookAfterKept(["gcr.io/pause:3"], silent("No such file or directory"));
  assertEquals(heard("warning"), [
    "[Docker] the Docker Engine at /run/docker.sock does not answer (Connection refused): " +
    "no image can be pulled until it does",
  ]);
  messages.runtimeAnswers();
  messages.eventsArrive(dockerAdvice("/run/docker.sock"));
  messages.runtimeAnswers();
  assertEquals(heard("info"), ["[Docker] the Docker Engine at /run/docker.sock answers again"]);
  silent("Connection refused");
  assertEquals(heard("warning").length, 1);
});

Deno.test("events that an Engine refuses have their own warning", () => {
  const { messages, heard } = scene();
  messages.eventsBroke(new RuntimeError("rejected", "follow the events: HTTP status 403"), false);
  assertEquals(heard("warning"), ["[Events] polling until the events are back: follow the events: HTTP status 403"]);
  messages.eventsArrive(dockerAdvice("/run/docker.sock"));
  assertEquals(heard("info"), ["[Events] the Docker Engine's events arrive again"]);
});

Deno.test("repairs that fail because the Engine is away are logged, but not as warnings", () => {
  const { messages, said } = scene();
  const fail = (runtimeSilent: boolean) => {
    const message = "inspect gcr.io/a/b:1: no";
    const outcome = { result: "failed", reason: undefined, message, attempts: [], runtimeSilent } as const;
    messages.finished({ repair: REPAIR, outcome, seconds: 1, nextTrySeconds: 10 });
    return said.splice(0).map(([level]) => level);
  };
  assertEquals([fail(true), fail(true), fail(false)], [["info"], ["debug"], ["warning"]]);
});

Deno.test("many pods are counted, not all listed", () => {
  const pods = Array.from({ length: 10 }, (_, index) => waitingPod(`p${index}`, "gcr.io/a/b:1"));
  assertEquals(
    namePods(scanPods(readPodList(listOf(...pods)).pods).failures),
    "default/p0, default/p1, default/p2 and 7 more",
  );
});

Deno.test("a runtime that is not the kubelet's is warned of, at growing intervals", () => {
  const { messages, heard, clock } = scene();
  const docker = dockerAdvice("/run/docker.sock");
  messages.otherRuntime("containerd", docker);
  messages.otherRuntime("containerd", docker);
  assertEquals(heard("warning"), [
    "[GetPods] the kubelet runs its containers in containerd, not in the Docker Engine: repairs help no pod: " +
    "write containerd: with its socket instead of docker: into the config, then run gilly-setup, " +
    "which lets the service use that socket",
  ]);
  clock.now += 60 * MINUTE;
  messages.otherRuntime("containerd", docker);
  assertEquals(heard("warning").length, 1);
});

Deno.test("two problems with a mirror's credentials that take turns are one warning each", () => {
  const { messages, heard } = scene();
  for (const problem of ["one", "two", "one", "two"]) messages.authProblem("m.example", problem);
  const line = (problem: string) => `[Mirror] m.example is used without credentials: ${problem}`;
  assertEquals(heard("warning"), [line("one"), line("two")]);
});
