// Tests the state of the daemon: one state per failing container, and readers that understand it.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import { dockerAdvice } from "../../../lib/runtime/docker/advice.ts";
import { nodeState, statusLine } from "../../../lib/status/node_state.ts";
import { readNodeState } from "../../../lib/status/read_state.ts";
import { statusLines } from "../../../lib/status/render.ts";
import { nodeFacts, NOW } from "../../fakes/node_facts.ts";
import { assertGolden } from "../../support/golden.ts";

const STATE = nodeState(nodeFacts());

function of(pod: string) {
  const found = STATE.containers.filter((container) => container.pod === pod);
  assertEquals(found.length, 1, pod);
  return found[0]!;
}

Deno.test("the state matches the golden file", () => {
  assertGolden(`${JSON.stringify(STATE, null, 2)}\n`, "status/state.json");
});

Deno.test("at 80 columns no line is longer, and every pod is listed", () => {
  const lines = statusLines(STATE, NOW, 80);
  assertEquals(lines.filter((line) => line.length > 80), []);
  const text = lines.join("").replace(/\s+/g, "");
  for (const { namespace, pod } of STATE.containers) {
    assertStringIncludes(text.replace(/\s/g, ""), pod.slice(0, 20), namespace);
  }
  assertGolden(`${lines.join("\n")}\n`, "status/80-columns.txt");
});

Deno.test("in a pipe each container is one line with all details", () => {
  const lines = statusLines(STATE, NOW, Infinity);
  for (const { namespace, pod, image, state } of STATE.containers) {
    const own = lines.filter((line) => line.includes(` ${namespace}/${pod} `));
    assertEquals(own.length, 1, pod);
    for (const part of [image, state]) assertStringIncludes(own[0]!, part);
  }
  assertGolden(`${lines.join("\n")}\n`, "status/pipe.txt");
});

Deno.test("the first line is the line that systemd shows", () => {
  const line = "Checked 12 pods 3 s ago: 2 repairing, 1 waiting, 5 unrepairable; 41 repaired since start";
  assertEquals(statusLine(STATE, NOW), line);
  assertEquals(statusLines(STATE, NOW, Infinity)[0], line);
});

Deno.test("trouble comes first", () => {
  const engine = { runtime: dockerAdvice("/run/docker.sock"), because: "Connection refused" };
  const trouble = { pass: "no answer from https://node:10250/pods", config: "c.yaml was refused", engine };
  assertEquals(
    statusLine(nodeState(nodeFacts({ trouble, last: undefined })), NOW),
    "c.yaml was refused; no answer from https://node:10250/pods; " +
      "the Docker Engine at /run/docker.sock does not answer (Connection refused): nothing can be repaired; " +
      "41 repaired since start",
  );
});

Deno.test("an Engine that does not answer comes first, and mirrors with no other state are unknown", () => {
  const engine = { runtime: dockerAdvice("/run/docker.sock"), because: "Connection refused" };
  const retry = () => ({
    failures: 1,
    nextTryAt: NOW + 10_000,
    last: { result: "failed", reason: undefined, message: "inspect x: no", attempts: [], runtimeSilent: true } as const,
  });
  const away = nodeState(nodeFacts({ trouble: { pass: undefined, config: undefined, engine }, retry }));
  assertEquals(
    statusLine(away, NOW),
    "the Docker Engine at /run/docker.sock does not answer (Connection refused): nothing can be repaired; " +
      "Checked 12 pods 3 s ago: 2 repairing, 5 waiting, 3 unrepairable; 41 repaired since start",
  );
  assertEquals(away.trouble.engine, "the Docker Engine at /run/docker.sock does not answer (Connection refused)");
  assertEquals(away.mirrors.map(({ mirror, state, because }) => [mirror, state, because]), [
    ["docker.repo.eng.netapp.com", "unknown", "not used while the Docker Engine does not answer"],
    ["mirror-2.example:5000", "cooling-down", "503 Service Unavailable"],
  ]);
  const lost = away.containers.find(({ pod }) => pod === "lost");
  assertEquals([lost?.state, lost?.reason, lost?.mirror], ["waiting", "unreachable", null]);
  assertEquals(readNodeState(JSON.stringify(away)), { state: away, problems: [] });
  const { engine: _, ...older } = away.trouble;
  assertEquals(readNodeState(JSON.stringify({ ...away, trouble: older })).state?.trouble.engine, null);
});

Deno.test("before the first pass the status does not claim that no container fails", () => {
  const lines = statusLines(nodeState(nodeFacts({ last: undefined })), NOW, 80);
  assertEquals(lines.slice(1, 3), ["", "The kubelet has not listed its pods yet."]);
});

/** A pod, its state, its reason, its mirror, and the seconds to its next try. */
const STANDINGS: readonly (readonly [string, string, string | null, string | null, number | null])[] = [
  ["myapp", "repairing", null, "docker.repo.eng.netapp.com", null],
  ["recommendations-with-a-long-name-5f6d8c7b9-abcde", "repairing", null, null, null],
  ["cart-7d9c5b6f4d-x2x9p", "waiting", "registry-down", "docker.repo.eng.netapp.com", 12],
  ["done", "repaired", null, "docker.repo.eng.netapp.com", null],
  ["there", "repaired", null, null, null],
  ["nobody-knows", "unrepairable", "no-rule", null, null],
  ["always", "unrepairable", "policy-always", null, null],
  ["pinned", "unrepairable", "digest-on-classic-store", null, null],
  ["lost", "unrepairable", "not-in-mirror", "docker.repo.eng.netapp.com", 1500],
  ["locked", "unrepairable", "denied", "docker.repo.eng.netapp.com", 600],
];

for (const [pod, state, reason, mirror, seconds] of STANDINGS) {
  Deno.test(`pod ${pod} is ${state}${reason === null ? "" : ` for ${reason}`}`, () => {
    const found = of(pod);
    const nextTryAt = seconds === null ? null : new Date(NOW + 1000 * seconds).toISOString();
    assertEquals(
      { state: found.state, reason: found.reason, mirror: found.mirror, nextTryAt: found.nextTryAt },
      { state, reason, mirror, nextTryAt },
    );
    assertEquals(found.advice !== null, state === "unrepairable", "advice is for what only a person can change");
  });
}

Deno.test("a container that is being created is listed only while its image is repaired", () => {
  assertEquals(STATE.containers.filter(({ pod }) => pod === "early"), []);
  const repairs = { ...nodeFacts().repairs, underWay: (name: string) => name === "gcr.io/a/early:1" };
  const early = nodeState(nodeFacts({ repairs })).containers.find(({ pod }) => pod === "early");
  assertEquals(early?.state, "repairing");
});

Deno.test("a try without a record waits for the next pass", () => {
  const repairs = { ...nodeFacts().repairs, underWay: () => false };
  const found = nodeState(nodeFacts({ repairs })).containers.find(({ pod }) => pod === "myapp");
  assertEquals([found?.state, found?.nextTryAt], ["waiting", null]);
});

Deno.test("before the first pass there are no containers, and the line does not mention pods", () => {
  const state = nodeState(nodeFacts({ last: undefined }));
  assertEquals([state.containers, state.lastGoodPassAt, state.podCount], [[], null, null]);
  assertEquals(statusLine(state, NOW), "41 repaired since start");
});

Deno.test("a mirror after its cool-down has failed", () => {
  assertEquals(STATE.mirrors.map(({ mirror, state }) => `${mirror} ${state}`), [
    "docker.repo.eng.netapp.com up",
    "mirror-2.example:5000 cooling-down",
  ]);
  const later = nodeState(nodeFacts({ now: NOW + 60_000 }));
  assertEquals(later.mirrors[1]?.state, "failed");
});

Deno.test("a path that failed follows its mirror, which is up, and is gone when it delivers", () => {
  const paths = [["mirror-2.example:5000/quay", NOW + 4000], ["gone.example/quay", NOW + 4000]] as const;
  const cooldowns = new Map(paths.map(([path, until]) => [path, { until, failures: 1, because: "answered 502" }]));
  const { mirrors } = nodeState(nodeFacts({ cooldowns }));
  assertEquals(mirrors.map(({ mirror, state, because }) => [mirror, state, because]), [
    ["docker.repo.eng.netapp.com", "up", null],
    ["mirror-2.example:5000", "up", null],
    ["mirror-2.example:5000/quay", "cooling-down", "answered 502"],
  ]);
  const state = nodeState(nodeFacts({ cooldowns }));
  assertEquals(readNodeState(JSON.stringify(state)), { state, problems: [] });
  assertStringIncludes(
    statusLines(state, NOW, Infinity).join("\n"),
    "mirror-2.example:5000/quay  cooling down, 4 s left  answered 502",
  );
});

Deno.test("a written state is read back", () => {
  assertEquals(readNodeState(JSON.stringify(STATE)), { state: STATE, problems: [] });
});

/** Texts that are not a valid state, and the problem. */
const USELESS: readonly (readonly [string, string])[] = [
  ["", "it is truncated, or not JSON"],
  [JSON.stringify(STATE).slice(0, 500), "it is truncated, or not JSON"],
  ["null", "it is JSON, but not the state of a daemon"],
  ["[]", "it is JSON, but not the state of a daemon"],
  ['{"version":"1","pid":5}', "it is JSON, but not the state of a daemon"],
];

for (const [text, problem] of USELESS) {
  Deno.test(`${JSON.stringify(text.slice(0, 30))} is not a valid state`, () => {
    assertEquals(readNodeState(text), { state: undefined, problems: [problem] });
  });
}

Deno.test("from a newer version's state what is understood is shown, and the rest is counted", () => {
  const [first, ...others] = STATE.containers;
  const { state, problems } = readNodeState(
    JSON.stringify({
      ...STATE,
      version: 2,
      gilly: "9.0.0",
      containers: [{ ...first, state: "dreaming" }, { pod: { name: "x" } }, ...others],
      mirrors: "none",
    }),
  );
  assertEquals(problems, [
    "a newer Gilly wrote it (9.0.0): some of it may not be shown",
    "1 of its containers and mirrors cannot be understood and are not shown",
  ]);
  const lines = statusLines(state!, NOW, 80);
  assertEquals(lines.filter((line) => line.startsWith("dreaming")).length, 1);
  assertEquals(state!.containers.length, STATE.containers.length);
});

Deno.test("any text that is read can be shown", () => {
  fc.assert(fc.property(fc.json(), fc.object(), (json, more) => {
    for (const text of [json, JSON.stringify({ version: 1, pid: 1, ...more }), JSON.stringify({ ...STATE, ...more })]) {
      const { state, problems } = readNodeState(text);
      assert(state !== undefined || problems.length > 0);
      if (state !== undefined) statusLines(state, NOW, 80);
    }
  }));
});

Deno.test("a name from a pod cannot move the cursor", () => {
  const containers = [{ ...of("myapp"), image: "x\x1b[2Jy", advice: "a\rb\u202ec" }];
  const text = statusLines({ ...STATE, containers, configFile: "/etc/\x1b]0;z\x07" }, NOW, 80).join("\n");
  // deno-lint-ignore no-control-regex
  assertEquals(/[\x00-\x09\x0b-\x1f\u202e]/.test(text), false);
});
