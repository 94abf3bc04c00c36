// Runs `gilly status` as a user does: with a daemon, without one, in a pipe and in a terminal.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type NodeState, nodeState } from "../../lib/status/node_state.ts";
import { fakeImage } from "../fakes/docker_engine.ts";
import { startNode } from "../fakes/node.ts";
import { nodeFacts } from "../fakes/node_facts.ts";
import { launch, runProgram, startProgram } from "../support/program.ts";

const status = (dir: string, ...flags: string[]) => runProgram(["status", ...flags], { RUNTIME_DIRECTORY: dir });

/** Runs a test with a folder that has the state of a live daemon: this process. */
async function withState(change: Partial<NodeState>, test: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    const state = { ...nodeState(nodeFacts({ now: Date.now(), pid: Deno.pid })), ...change };
    await Deno.writeTextFile(`${dir}/state.json`, JSON.stringify(state));
    await test(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** A child process whose output a test can wait for. */
class Watching {
  text = "";
  readonly child: Deno.ChildProcess;
  readonly #read: Promise<void>;
  #waiters: { condition: (text: string) => boolean; found: () => void }[] = [];

  constructor(program: string, options: Deno.CommandOptions) {
    this.child = new Deno.Command(program, { stdin: "null", ...options, stdout: "piped", stderr: "inherit" }).spawn();
    this.#read = this.#readAll();
  }

  async until(condition: (text: string) => boolean): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiters.push({ condition, found: resolve });
    this.#look();
    await promise;
  }

  async end(signal: Deno.Signal): Promise<number> {
    this.child.kill(signal);
    return await this.ended();
  }

  /** Presses a key of the terminal. */
  async press(key: string): Promise<void> {
    const keyboard = this.child.stdin.getWriter();
    await keyboard.write(new TextEncoder().encode(key));
    keyboard.releaseLock();
  }

  async ended(): Promise<number> {
    const { code } = await this.child.status;
    await this.#read;
    return code;
  }

  async #readAll(): Promise<void> {
    for await (const text of this.child.stdout.pipeThrough(new TextDecoderStream())) {
      this.text += text;
      this.#look();
    }
  }

  #look(): void {
    for (const { condition, found } of this.#waiters) if (condition(this.text)) found();
  }
}

Deno.test("status shows the state of the running daemon from its start to its stop", async () => {
  await using node = await startNode({
    pods: [
      { name: "found", containers: [{ name: "app", image: "gcr.io/a/found:1" }] },
      { name: "lost", containers: [{ name: "app", image: "gcr.io/a/lost:1" }] },
      { name: "other", containers: [{ name: "app", image: "ghcr.io/a/other:1" }] },
    ],
    engine: { registries: { "mirror.example": { state: "up", images: { "a/found:1": fakeImage("found") } } } },
  });
  const runtime = `${node.dir}/run`;
  await Deno.mkdir(runtime);
  const gilly = await startProgram(["run", "--config", node.configFile], { RUNTIME_DIRECTORY: runtime });
  const { program, args, ...options } = launch({ RUNTIME_DIRECTORY: runtime });
  const watching = new Watching(program, { ...options, args: [...args, "status", "--watch", "--json"] });
  try {
    const settled = (text: string) =>
      /"state":"unrepairable","reason":"not-in-mirror"/.test(text) && /"repaired":1\b/.test(text);
    await watching.until(settled);

    const json = await status(runtime, "--json");
    assertEquals(json.code, 0, json.stderr);
    const state = JSON.parse(json.stdout);
    assertEquals([state.running, state.version, state.configFile, state.podCount], [true, 1, node.configFile, 3]);
    const byPod = Object.fromEntries(state.containers.map((it: NodeState["containers"][number]) => [it.pod, it]));
    assertEquals([byPod.lost.state, byPod.lost.mirror], ["unrepairable", "mirror.example"]);
    assert(Date.parse(byPod.lost.nextTryAt) > Date.parse(state.startedAt));
    assertEquals([byPod.other.state, byPod.other.reason], ["unrepairable", "no-rule"]);
    assertEquals(state.mirrors.map(({ mirror }: { mirror: string }) => mirror), ["mirror.example", "mirror-2.example"]);

    const text = await status(runtime);
    assertMatch(text.stdout, /^Checked 3 pods \d+ s ago: 0 repairing, 2 unrepairable; 1 repaired since start\n/);
    assertMatch(
      text.stdout,
      /^unrepairable +default\/lost +app +gcr\.io\/a\/lost:1 +mirror\.example +in \d+ s +not-in-mirror: /m,
    );

    assertEquals((await gilly.end("SIGTERM")).code, 0);
    await watching.until((text) => text.includes('"running":false'));
    const gone = await status(runtime);
    assertEquals([gone.code, gone.stdout], [
      3,
      `gilly is not running: ${runtime}/state.json does not exist\n${START}\n`,
    ]);
    assertEquals([...Deno.readDirSync(runtime)], []);
  } finally {
    await gilly.end("SIGKILL");
    assertEquals(await watching.end("SIGINT"), 0);
  }
  for (const line of watching.text.trimEnd().split("\n")) assert(typeof JSON.parse(line).running === "boolean", line);

  const history = await runProgram(["history", "--json", "--config", node.configFile]);
  const entries = JSON.parse(history.stdout).map((it: { result: string; image: string; pods: string[] }) =>
    `${it.result} ${it.image} ${it.pods}`
  );
  assertEquals(entries.sort(), [
    "failed gcr.io/a/lost:1 default/lost",
    "repaired gcr.io/a/found:1 default/found",
    "unrepairable ghcr.io/a/other:1 default/other",
  ]);

  const once = await runProgram(["once", "--config", node.configFile]);
  assertEquals(once.code, 1, "the lost image is still lost");
  const again = await runProgram(["history", "--json", "--image", "ghcr.io", "--config", node.configFile]);
  assertEquals(JSON.parse(again.stdout).length, 1, "another process wrote the same refusal down again");
});

Deno.test("status fits 80 columns, and lists every pod", async () => {
  await withState({}, async (dir) => {
    const { stdout } = await inTerminal(dir, "status");
    assertEquals(stdout.split("\n").filter((line) => line.length > 80), []);
    for (const pod of ["default/myapp", "shop/cart-7d9c5b6f4d-x2x9p", "default/lost"]) {
      assertStringIncludes(stdout, pod);
    }
  });
});

Deno.test("status --watch redraws in place on every change, within the height of the terminal", async () => {
  await withState({}, async (dir) => {
    const { program, args, ...options } = terminalCommand(dir, "status --watch");
    const watching = new Watching(program, { ...options, args, stdin: "piped" });
    await watching.until((text) => text.includes("41 repaired"));
    const state = JSON.parse(await Deno.readTextFile(`${dir}/state.json`));
    await Deno.writeTextFile(`${dir}/next`, JSON.stringify({ ...state, totals: { repaired: 42, failed: 5 } }));
    await Deno.rename(`${dir}/next`, `${dir}/state.json`);
    const end = "\x1b[J";
    await watching.until((text) => text.split("42 repaired").slice(1).some((rest) => rest.includes(end)));
    await watching.press("\x03");
    assertEquals(await watching.ended(), 0);
    await watching.child.stdin.close();
    const [cleared, drawn = ""] = watching.text.replaceAll("\r\n", "\n").split("\x1b[2J");
    assertEquals(cleared, "");
    // The terminal discards pending output when the key is pressed, so the last screen may be
    // incomplete.
    const screens = drawn.split("^C")[0]!.split(end).slice(0, -1);
    assert(screens.length >= 2);
    for (const screen of screens) {
      assert(screen.split("\n").length <= 24, screen);
      assertMatch(screen.replaceAll("\x1b", "ESC"), /^ESC\[H[^]*\n… \d+ more lines: gilly status shows themESC\[K\n$/);
    }
  });
});

Deno.test("status --watch in a pipe prints changes, but not a state in which only times changed", async () => {
  await withState({ containers: [], lastGoodPassAt: null }, async (dir) => {
    const { program, args, ...options } = launch({ RUNTIME_DIRECTORY: dir });
    const watching = new Watching(program, { ...options, args: [...args, "status", "--watch"] });
    await watching.until((text) => text.includes("The kubelet has not listed its pods yet."));
    const state = JSON.parse(await Deno.readTextFile(`${dir}/state.json`));
    const replace = async (change: Partial<NodeState>) => {
      await Deno.writeTextFile(`${dir}/next`, JSON.stringify({ ...state, ...change }));
      await Deno.rename(`${dir}/next`, `${dir}/state.json`);
    };
    const now = () => new Date().toISOString();
    await replace({ lastGoodPassAt: now() });
    await watching.until((text) => text.includes("No containers are waiting for images."));
    await replace({ writtenAt: now(), lastGoodPassAt: now() });
    await replace({ totals: { repaired: 42, failed: 5 }, lastGoodPassAt: now() });
    await watching.until((text) => text.includes("42 repaired"));
    await Deno.remove(`${dir}/state.json`);
    await watching.until((text) => text.includes("gilly is not running"));
    assertEquals(await watching.end("SIGTERM"), 0);
    assertEquals(watching.text.match(/Checked|gilly is not running/g), ["Checked", "Checked", "gilly is not running"]);
    assertEquals(watching.text.includes("\x1b"), false);
  });
});

const START = "→ systemctl start gilly; journalctl -u gilly -n 20 says why it stopped";
const RESTART = "→ systemctl restart gilly; journalctl -u gilly -n 20 says what it did last";

/** Contents of a state file without a running daemon, and the message. */
const NONE: readonly (readonly [string, string | Partial<NodeState>, RegExp])[] = [
  ["a truncated state", '{"version":1,"pid":', /^gilly is not running: \S+state\.json holds no daemon state\n$/],
  [
    "a process that is gone",
    // An age that reads the same half a minute later.
    { pid: 2 ** 22 + 1, writtenAt: new Date(Date.now() - 3_600_000).toISOString() },
    /^gilly is not running: pid 4194305, which wrote \S+ 60 min ago, is gone\n$/,
  ],
  [
    "a daemon that hangs",
    { writtenAt: "2020-01-01T00:00:00Z" },
    /^gilly is not running: pid \d+, which wrote \S+ \d+ days ago, has written nothing since: see journalctl -u gilly\n$/,
  ],
];

for (const [name, content, said] of NONE) {
  Deno.test(`status of ${name} reports that gilly is not running, and ends with 3`, async () => {
    await withState(typeof content === "string" ? {} : content, async (dir) => {
      if (typeof content === "string") await Deno.writeTextFile(`${dir}/state.json`, content);
      const text = await status(dir);
      assertEquals(text.code, 3);
      const [because, next] = text.stdout.split(/\n(?=→)/);
      assertMatch(`${because}\n`, said);
      assertEquals(next, name === "a daemon that hangs" ? `${RESTART}\n` : `${START}\n`);
      const json = await status(dir, "--json");
      assertEquals([json.code, JSON.parse(json.stdout).running], [3, false]);
      assertMatch(`gilly is not running: ${JSON.parse(json.stdout).because}\n`, said);
    });
  });
}

Deno.test("the state of a newer version is shown as far as it is understood, with a warning", async () => {
  await withState({ version: 2 as 1, gilly: "9.0.0" }, async (dir) => {
    const { code, stdout, stderr } = await status(dir);
    assertEquals(code, 0);
    assertMatch(stdout, /^Checked 12 pods /);
    assertEquals(stderr, `gilly: ${dir}/state.json: a newer Gilly wrote it (9.0.0): some of it may not be shown\n`);
  });
});

Deno.test("a state file that cannot be read is an error that names it", async () => {
  const dir = await Deno.makeTempDir();
  await Deno.mkdir(`${dir}/state.json`);
  const { code, stderr } = await runProgram(["status", "--state-file", `${dir}/state.json`]);
  assertEquals(code, 1);
  assertStringIncludes(stderr, `${dir}/state.json`);
  await Deno.remove(dir, { recursive: true });
});

function terminalCommand(
  dir: string,
  words: string,
): Deno.CommandOptions & { program: string; args: string[] } {
  const { program, args, ...options } = launch({ RUNTIME_DIRECTORY: dir });
  const command = `stty cols 80 rows 24; exec ${[program, ...args].map((word) => `'${word}'`).join(" ")} ${words}`;
  return { ...options, program: "script", args: ["--quiet", "--return", "--command", command, "/dev/null"] };
}

async function inTerminal(dir: string, words: string): Promise<{ stdout: string }> {
  const { program, ...options } = terminalCommand(dir, words);
  const { stdout } = await new Deno.Command(program, { ...options, stdin: "null" }).output();
  return { stdout: new TextDecoder().decode(stdout).replaceAll("\r\n", "\n") };
}
