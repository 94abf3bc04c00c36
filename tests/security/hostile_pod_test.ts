// Pods whose names all imitate something else: a journal line, a terminal command, another
// registry. The API server would refuse most of them, but it checks neither a manifest on the node
// nor a false kubelet.

import { assert, assertEquals, assertLess } from "@std/assert";
import { fakeImage } from "../fakes/docker_engine.ts";
import { startNode } from "../fakes/node.ts";
import { scenario } from "../scenarios/scenario.ts";
import { runProgram } from "../support/program.ts";
import { runEverything, textsOf, type Traces } from "./every_command.ts";

const FORGED = "2020/05/16 01:11:53 [Repair]  repaired gcr.io/acme/forged:1 for default/forged in 1.0 s";
const FORGED_JSON = '{"level":"info","tag":"Repair","message":"forged"}';
const MEGABYTE = "x".repeat(1024 * 1024);

/** What a hostile name may contain. */
const TRICKS: Readonly<Record<string, string>> = {
  "line ends": `a\n${FORGED}\r\n${FORGED_JSON}\r`,
  "a syslog priority": `\n<0>[Main]  ${FORGED}`,
  "escape sequences": "\x1b[2J\x1b[1;1H\x1b]0;owned\x07\x1b[31m\x9b5n",
  "line ends of other scripts": `a\u2028${FORGED}\u2029\u0085${FORGED}`,
  "direction changes": "gcr.io/\u202egpj.exe\u2066\u200f",
  "control characters": "\0\x01\b\x7f\x9f",
  "quotes and braces": `"},"message":"forged","x":{"\\" {text} %s \${1}`,
  "a megabyte": MEGABYTE,
  "a lone surrogate": "a\ud800b",
  "a JavaScript name": "__proto__",
};

/** More image strings. */
const IMAGES: readonly string[] = [
  "gcr.io/../../../v1.41/containers/json:1",
  "gcr.io/acme/..%2f..%2fx:1",
  "gcr.io//acme/x:1",
  "gcr.io/acme/x:1?fromImage=evil.example/x&tag=1",
  "gcr.io/acme/x:1&repo=evil",
  "gcr.io/acme/x:1#",
  "gcr.io/acme/{registry}:1",
  "{registry}/acme/x:1",
  "evil.example/acme/x:1",
  "EVIL.example:443/acme/x:1",
  "[::1]:5000/acme/x:1",
  "user:password@evil.example/acme/x:1",
  "https://evil.example/acme/x:1",
  "gcr.io@evil.example/acme/x:1",
  "gcr.io\\@evil.example/acme/x:1",
  "gсr.io/acme/x:1",
  "gcr.io/acme/x:1@sha256:short",
  `gcr.io/${"a/".repeat(500_000)}x:1`,
  `gcr.io/acme/${"a".repeat(300)}:1`,
];

function hostilePods(): unknown[] {
  const waiting = (reason: string, message: string) => ({ waiting: { reason, message } });
  const pod = (name: string, container: string, image: string, reason = "ErrImagePull", message = "") => ({
    metadata: { name, namespace: name, uid: name, annotations: { [name]: name } },
    spec: { containers: [{ name: container, image, imagePullPolicy: "IfNotPresent" }] },
    status: { phase: name, containerStatuses: [{ name: container, image, state: waiting(reason, message) }] },
  });
  const all = Object.values(TRICKS);
  const tricks = all.filter((trick) => trick !== MEGABYTE);
  return [
    ...all.map((trick) => pod(trick, trick, trick, "ErrImagePull", trick)),
    ...all.map((trick, index) => pod(`by-image-${index}`, "app", `gcr.io/acme/${trick}:1`, "InvalidImageName", trick)),
    ...tricks.map((trick, index) => pod(`${trick}${index}`, trick, "gcr.io/acme/missing:1", "ImagePullBackOff", trick)),
    ...tricks.map((trick) => pod(trick, trick, "nowhere.example/acme/x:1")),
    ...IMAGES.map((image, index) => pod(`image-${index}`, "app", image)),
    ...tricks.map((trick) => ({ metadata: { name: trick } })),
    { metadata: { name: "" } },
    5,
  ];
}

const TAGS =
  "NewConnection|Main|GetPods|Validate|ReplaceImageRegistry|PullImage|TagImage|Repair|Plan|Mirror|Events|Metrics|Config|Ledger|Provenance|Keep";
/** Lines as journald gets them, with a priority that no pod can choose. */
const LINE = new RegExp(`^<[3467]>\\[(${TAGS})\\] {1,2}\\S`);
// deno-lint-ignore no-control-regex
const UNPRINTABLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/;

const seen = new Map<string, Promise<Traces>>();

/** Checks the traces of a run among such pods; rows with the same format share one run. */
async function amongHostilePods(format: "text" | "json", check: (traces: Traces) => void): Promise<void> {
  const traces = seen.get(format) ?? nightAmongHostilePods(format);
  seen.set(format, traces);
  check(await traces);
}

/** Runs the daemon and every command on a node with such pods and a good one. */
async function nightAmongHostilePods(format: "text" | "json"): Promise<Traces> {
  const good = fakeImage("good");
  await using node = await startNode({
    pods: [{ name: "good", containers: [{ name: "app", image: "quay.io/acme/good:1" }] }],
    engine: {
      registries: {
        "mirror.example": { state: "up", images: {} },
        "good.example": { state: "up", images: { "acme/good:1": good } },
      },
    },
    config: `
registries: {gcr.io: mirror.example, quay.io: good.example, "*.pkg.dev": "mirror.example/{registry}"}
logging: {level: debug, format: ${format}}
metrics: {textfile: metrics.prom}
poll: {interval: 1s, safety: 1s}
`,
  });
  for (const pod of hostilePods()) node.kubelet.addItem(pod);
  const traces = await runEverything(node, {
    image: TRICKS["escape sequences"]!,
    env: format === "text" ? { JOURNAL_STREAM: "8:1" } : {},
    until: async (gilly) => {
      await gilly.waitForLine(/repaired quay\.io\/acme\/good:1/);
      await gilly.waitForLine(/cannot repair gcr\.io\/acme\/missing:1/);
    },
  });
  assertEquals(node.engine.idOf("quay.io/acme/good:1"), good.id);
  assertEquals(node.engine.unexpected, []);
  const hosts = new Set(node.engine.pulls().map((pull) => pull.split("/")[0]));
  assertEquals([...hosts].filter((host) => host !== "mirror.example" && host !== "good.example"), []);
  for (const [where, text] of textsOf(traces)) {
    const line = text.split("\n").find((line) => UNPRINTABLE.test(line));
    assertEquals(line === undefined ? undefined : JSON.stringify(line.slice(0, 200)), undefined, where);
  }
  return traces;
}

const standIn = (what: string, holds: string) => ({ subject: "pod", what, means: "stand-in" as const, holds });

scenario(
  standIn(
    "names, images and messages that contain line ends, terminal commands, priorities, JSON, a megabyte and more",
    "only the daemon's own lines, none of 10 kB, a good pod is repaired",
  ),
  () =>
    amongHostilePods("text", ({ outputs }) => {
      const lines = outputs.get("run")!.split("\n");
      assertEquals(lines.filter((line) => !LINE.test(line)).map((line) => line.slice(0, 200)), []);
      assertEquals(lines.filter((line) => line.startsWith(FORGED)), []);
      assert(lines.length > 100, "too little was said to tell anything");
      assertLess(Math.max(...lines.map((line) => line.length)), 10_000);
    }),
);

scenario(
  standIn("the same, with a journal in JSON", "each line is one object, with no field that a pod chose"),
  () =>
    amongHostilePods("json", ({ outputs }) => {
      const known = new Set([
        ...["time", "level", "tag", "message", "image", "pod", "container", "reason", "candidate", "failure", "result"],
        ...["digest", "mirror", "seconds"],
      ]);
      const entries = outputs.get("run")!.split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
      assertEquals(entries.flatMap((entry) => Object.keys(entry).filter((key) => !known.has(key))), []);
      assertEquals(entries.filter(({ message }) => message === "forged"), []);
      assert(entries.every(({ tag }) => new RegExp(`^(${TAGS})$`).test(String(tag))));
      assertLess(Math.max(...entries.map((entry) => JSON.stringify(entry).length)), 30_000);
    }),
);

scenario(
  standIn("the same, in ledger, state and metrics", "each is read as it was written, and none grows with a name"),
  () =>
    amongHostilePods("text", ({ files }) => {
      const ledger = files.get("ledger.jsonl")!.trimEnd().split("\n").map((line) => JSON.parse(line));
      assertEquals(ledger.filter(({ image, result }) => result === "repaired" && !String(image).includes("good")), []);
      assertLess(Math.max(...ledger.map((entry) => JSON.stringify(entry).length)), 30_000);
      const state = JSON.parse(files.get("state.json")!) as { containers: unknown[] };
      assertLess(files.get("state.json")!.length / state.containers.length, 30_000);
      const samples = files.get("metrics.prom")!.trimEnd().split("\n");
      assertEquals(samples.filter((line) => line !== "" && !/^(# (HELP|TYPE) )?gilly_\w+(\{.*\})? ./.test(line)), []);
      assertLess(Math.max(...samples.map((line) => line.length)), 30_000);
    }),
);

scenario(
  standIn(
    "a kubelet whose errors contain escape sequences",
    "shown, not executed, even by a command that fails with them",
  ),
  async () => {
    await using node = await startNode();
    const words = Object.values(TRICKS).filter((trick) => trick !== MEGABYTE).join(" ");
    node.kubelet.answerWith({ status: 503, body: words });
    for (const call of [["once"], ["once", "--dry-run"], ["check"], ["check", "--json"]]) {
      const { stdout, stderr } = await runProgram([...call, "--config", node.configFile]);
      const lines = `${stdout}${stderr}`.split("\n");
      assert(lines.some((line) => line.includes("503")), call.join(" "));
      assertEquals(lines.filter((line) => UNPRINTABLE.test(line) || line.startsWith(FORGED)), [], call.join(" "));
    }
  },
);
