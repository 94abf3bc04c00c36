// Faults of Gilly itself, of its files and of its host: signals at every step of a repair, clocks
// that jump, full disks. The node is made of fakes, whose gates are the hook points; processes,
// signals, mounts and limits are real.

import { assert, assertEquals, assertLess } from "@std/assert";
import { readLedger } from "../../lib/record/ledger.ts";
import { Gilly } from "../e2e/gilly.ts";
import { fakeImage } from "../fakes/docker_engine.ts";
import { type FakeNode, startNode } from "../fakes/node.ts";
import { scenario } from "../scenarios/scenario.ts";
import { launch, runProgram, startProgram } from "../support/program.ts";
import { assertNoWrongImage, HURT, otherIsRepaired, startScene, wellAgain, withScene } from "./scene.ts";
import { missingForTmpfs, mountTmpfs } from "./tmpfs.ts";

const standIn = (what: string, holds: string) => ({ subject: "Gilly", what, means: "stand-in" as const, holds });

interface Held {
  readonly reached: Promise<void>;
  release(): void;
}

/** Every step of a repair, each with a function that holds the repair there. */
const STEPS: Readonly<Record<string, (node: FakeNode) => Held>> = {
  "asking for the pods": ({ kubelet }) => {
    const open = Promise.withResolvers<void>();
    const reached = kubelet.waitForRequest().then(() => {});
    kubelet.answerWith({ after: open.promise });
    const release = () => {
      kubelet.answerAsUsual();
      open.resolve();
    };
    return { reached, release };
  },
  "looking at the name": ({ engine }) => engine.gates.hold("before", (call) => looksAt(HURT.name, call.path)),
  "asking the mirror": ({ engine }) => engine.hold("headers", HURT.pulled),
  "pulling layers": ({ engine }) => engine.hold("layers", HURT.pulled),
  "ending the pull": ({ engine }) => engine.hold("end", HURT.pulled),
  "looking at what was pulled": ({ engine }) => engine.gates.hold("before", (call) => looksAt(HURT.pulled, call.path)),
  "looking at the name again": ({ engine }) =>
    engine.gates.hold("before", (call) => looksAt(HURT.name, call.path) && engine.has(HURT.pulled)),
  "tagging, before it is done": ({ engine }) => engine.gates.hold("before", tagsHurt),
  "tagging, once it is done": ({ engine }) => engine.gates.hold("after", tagsHurt),
  "verifying": ({ engine }) =>
    engine.gates.hold("before", (call) => looksAt(HURT.name, call.path) && engine.has(HURT.name)),
};

const looksAt = (name: string, path: string) => path === `/images/${name}/json`;
const tagsHurt = ({ path, query }: { path: string; query: Readonly<Record<string, string>> }) =>
  path.endsWith("/tag") && query.repo === "gcr.io/acme/hurt";

const steps = `each of ${Object.keys(STEPS).length} steps of a repair`;

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  const holds = signal === "SIGTERM" ? "ends with 0 within two seconds" : "nothing is half done";
  scenario(standIn(`${signal} at ${steps}`, `${holds}, and the next daemon goes on`), async () => {
    for (const [step, holdAt] of Object.entries(STEPS)) {
      await using node = await startScene();
      const held = holdAt(node);
      await using gilly = await startProgram(["run", "--config", node.configFile]);
      await held.reached;
      const { code, milliseconds } = await gilly.end(signal);
      if (signal === "SIGTERM") {
        assertEquals(code, 0, step);
        assertLess(milliseconds, 2000, step);
      }
      held.release();
      assertNoWrongImage(node);
      await using next = await startProgram(["run", "--config", node.configFile]);
      await wellAgain({ node, gilly: next });
      assertEquals((await readLedger(node.ledgerFile)).unreadable, 0, step);
    }
  });
}

scenario(standIn(`SIGHUP at ${steps}`, "the repair continues to its end, with one pull"), async () => {
  for (const [step, holdAt] of Object.entries(STEPS)) {
    await using node = await startScene();
    const held = holdAt(node);
    await using gilly = await startProgram(["run", "--config", node.configFile]);
    await held.reached;
    gilly.signal("SIGHUP");
    // During a pass that waits for the kubelet, the reload is only recorded.
    if (step !== "asking for the pods") await gilly.waitForLine(/\[Config\] .*is in force/);
    held.release();
    await gilly.waitForLine(/\[Config\] .*is in force/);
    await wellAgain({ node, gilly });
    assertEquals(node.engine.pulls().filter((pull) => pull === HURT.pulled).length, 1, step);
  }
});

for (const [way, signal] of [["forward", "SIGUSR2"], ["back", "SIGWINCH"]] as const) {
  scenario(
    standIn(`the clock is set ${way} by a day`, "a cool-down of seconds stays one of seconds, passes continue"),
    async () => {
      await using node = await startScene();
      const mirror = node.engine.registries["mirror.example"]!;
      mirror.state = "down";
      const { args, ...rest } = launch();
      const clock = new URL("clock.ts", import.meta.url).pathname;
      const withClock = { ...rest, args: [...args.slice(0, -1), `--preload=${clock}`, ...args.slice(-1)] };
      await using gilly = new Gilly(["run", "--config", node.configFile], { launch: withClock });
      await gilly.waitForLine(/\[Mirror\] .*mirror\.example cools down for \d s/);
      await otherIsRepaired({ node, gilly });
      gilly.signal(signal);
      mirror.state = "up";
      await gilly.waitForLine(/\[Mirror\] .*mirror\.example delivers again/);
      await wellAgain({ node, gilly });
      const { entries } = await readLedger(node.ledgerFile);
      const last = entries.findLast(({ image, result }) => image === HURT.name && result === "repaired");
      const days = Math.round((Date.parse(last!.time) - Date.now()) / 86_400_000);
      assertEquals(days, way === "forward" ? 1 : -1, "the ledger has the time on the wall");
    },
  );
}

scenario(
  standIn("the ledger's disk full in the middle of a line, later with room", "repaired all the same, logged once"),
  async () => {
    await using disk = await mountTmpfs(64 * 1024);
    const ledgerFile = `${disk.dir}/ledger.jsonl`;
    // Its last page still has room for half a line.
    await Deno.writeTextFile(ledgerFile, ledgerLine("gcr.io/acme/old:1", 4000));
    await Deno.writeFile(`${disk.dir}/ballast`, new Uint8Array(64 * 1024)).catch(() => {});
    await using node = await startScene({ ledgerFile });
    const other = node.engine.registries["other.example"]!;
    other.state = "cut";
    await using gilly = await startProgram(["run", "--config", node.configFile]);
    await gilly.waitForLine(/\[Ledger\] .*cannot write the ledger .*; repairs continue/);
    await gilly.waitForLine(/repaired gcr\.io\/acme\/hurt:1 /);
    await Deno.remove(`${disk.dir}/ballast`);
    other.state = "up";
    await wellAgain({ node, gilly });
    assertEquals(gilly.journal.filter((line) => line.includes("[Ledger]")).length, 1);
    const { entries, unreadable } = await readLedger(ledgerFile);
    const repaired = entries.filter(({ result }) => result === "repaired").map(({ image }) => image);
    assertEquals([repaired[0], repaired.at(-1), unreadable], ["gcr.io/acme/old:1", "quay.io/acme/other:1", 1]);
  },
  missingForTmpfs(),
);

scenario(standIn("the ledger's last line truncated", "only that line is lost"), async () => {
  await using node = await startScene();
  await Deno.writeTextFile(node.ledgerFile, ledgerLine("gcr.io/acme/old:1", 300) + '{"version":1,"time":"20');
  await using gilly = await startProgram(["run", "--config", node.configFile]);
  await wellAgain({ node, gilly });
  const { entries, unreadable } = await readLedger(node.ledgerFile);
  assertEquals(unreadable, 1);
  assertEquals(entries.map(({ image }) => image).sort(), [HURT.name, "gcr.io/acme/old:1", "quay.io/acme/other:1"]);
});

scenario(
  standIn("two daemons at once, both within the same pull", "the second finds the first's work or repeats it"),
  async () => {
    await using node = await startScene();
    const held = node.engine.hold("headers", HURT.pulled);
    await using first = await startProgram(["run", "--config", node.configFile]);
    await using second = await startProgram(["run", "--config", node.configFile]);
    await node.engine.waitFor(() => node.engine.pulls().filter((pull) => pull === HURT.pulled).length === 2);
    held.release();
    await wellAgain({ node, gilly: first });
    await wellAgain({ node, gilly: second });
    assertEquals((await readLedger(node.ledgerFile)).unreadable, 0);
  },
);

scenario(
  standIn("the config replaced by a directory, then SIGHUP", "the old one stays in force; a start ends with 78"),
  () =>
    withScene(async ({ node, gilly }) => {
      await otherIsRepaired({ node, gilly });
      await Deno.remove(node.configFile);
      await Deno.mkdir(node.configFile);
      gilly.signal("SIGHUP");
      await gilly.waitForLine(/\[Config\] .*refused .*the old config stays in force/);
      const { code, stderr } = await runProgram(["run", "--config", node.configFile]);
      assertEquals(code, 78, stderr);
      node.engine.registries["mirror.example"]!.state = "up";
    }, { before: ({ engine }) => engine.registries["mirror.example"]!.state = "cut" }),
);

scenario(
  standIn("no file descriptor left, later some", "only calls that need one fail"),
  async () => {
    await using node = await startScene();
    const held = node.engine.hold("end", HURT.pulled);
    await using gilly = await startProgram(["run", "--config", node.configFile]);
    await held.reached;
    await otherIsRepaired({ node, gilly });
    await limitFiles(gilly.pid, 1);
    held.release();
    await gilly.waitForLine(/\[Repair\] .*too many open files/i);
    await limitFiles(gilly.pid, 1000);
    await wellAgain({ node, gilly });
  },
);

scenario(standIn("1,000 file descriptors, and 300 broken images at once", "all of them are repaired"), async () => {
  const names = Array.from({ length: 300 }, (_, index) => `acme/app-${index}:1`);
  const images = Object.fromEntries(names.map((name) => [name, fakeImage(name, [100])]));
  const pods = names.map((name, index) => ({
    name: `p-${index}`,
    containers: [{ name: "a", image: `gcr.io/${name}` }],
  }));
  await using node = await startNode({
    pods,
    config:
      "registries: {gcr.io: mirror.example}\nrepair: {concurrency: 64}\nmirrors: {mirror.example: {maxConcurrentPulls: 64}}\n",
    engine: { registries: { "mirror.example": { state: "up", images } } },
  });
  const { program, args, ...rest } = launch();
  const limited = { ...rest, program: "prlimit", args: ["--nofile=1000:1000", program, ...args] };
  await using gilly = new Gilly(["once", "--config", node.configFile], { launch: limited });
  assertEquals(await gilly.ended(), 0, gilly.journal.slice(-3).join("\n"));
  assertEquals(names.filter((name) => node.engine.idOf(`gcr.io/${name}`) !== images[name]!.id), []);
});

async function limitFiles(pid: number, soft: number): Promise<void> {
  const { success, stderr } = await new Deno.Command("prlimit", { args: [`--pid=${pid}`, `--nofile=${soft}:`] })
    .output();
  assert(success, new TextDecoder().decode(stderr));
}

/** A line of the ledger that is `length` bytes long. */
function ledgerLine(image: string, length: number): string {
  const entry = { version: 1, time: "2020-05-16T01:11:53.000Z", result: "repaired", image, pods: [], message: "" };
  const missing = length - JSON.stringify(entry).length - 1;
  return `${JSON.stringify({ ...entry, message: "x".repeat(missing) })}\n`;
}
