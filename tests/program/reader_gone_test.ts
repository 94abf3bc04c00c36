// The reader of a command's output may exit before it has read everything, as head(1) does.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { COMMANDS } from "../../lib/commands/mod.ts";
import { fakeImage } from "../fakes/docker_engine.ts";
import { type FakeNode, startNode } from "../fakes/node.ts";
import { launch } from "../support/program.ts";

/** One command line for each command that prints something; `run` and `proxy` print only their log. */
const LINES: Readonly<Record<string, readonly string[]>> = {
  once: ["once", "--dry-run"],
  status: ["status"],
  "status --watch": ["status", "--watch"],
  history: ["history"],
  "history --json": ["history", "--json"],
  check: ["check"],
  explain: ["explain", "gcr.io/a/b:1"],
  pull: ["pull", "gcr.io/a/b:1", "gcr.io/a/c:1"],
  "pull --json": ["pull", "--json", "gcr.io/a/b:1"],
  export: ["export", "containerd"],
  version: ["version"],
  help: ["help"],
};

/** Runs the program after the reader of its standard output or standard error is gone. */
async function withoutReader(
  of: "stdout" | "stderr",
  argv: readonly string[],
): Promise<{ code: number; text: string }> {
  const { program, args, ...options } = await launch();
  const child = new Deno.Command("sh", {
    ...options,
    // The shell waits for a line, so that the reader is gone before the program starts.
    args: ["-c", 'read -r line; exec "$@" </dev/null', "sh", program, ...args, ...argv],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  await child[of].cancel();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode("go\n"));
  await writer.close();
  const rest = await new Response(child[of === "stdout" ? "stderr" : "stdout"]).text();
  const { code } = await child.status;
  return { code, text: rest };
}

async function node(): Promise<FakeNode> {
  const images = { "a/b:1": fakeImage("b"), "a/c:1": fakeImage("c") };
  return await startNode({
    pods: [{ name: "myapp", containers: [{ name: "app", image: "gcr.io/a/b:1" }] }],
    engine: { registries: { "mirror.example": { state: "up", images } } },
  });
}

Deno.test("every command is tried without a reader", () => {
  const tried = new Set(Object.values(LINES).map(([name]) => name));
  assertEquals(COMMANDS.map(({ name }) => name).filter((name) => !tried.has(name)), ["run", "proxy"]);
});

for (const [name, argv] of Object.entries(LINES)) {
  Deno.test(`gilly ${name} ends silently with 141 if its reader is gone`, async () => {
    await using worker = await node();
    const named = COMMANDS.find((command) => command.name === argv[0]);
    const more = named?.flags.some((flag) => flag.name === "config") ? ["--config", worker.configFile] : [];
    const { code, text } = await withoutReader("stdout", [...argv, ...more]);
    // Standard error also has the progress of a pull and the log of a pass.
    const own = text.split("\n").filter((line) => /^gilly:|os error|Error|panic/.test(line));
    assertEquals([code, own], [141, []], text);
    if (argv[0] === "pull") {
      const images = argv.filter((word) => word.startsWith("gcr.io/"));
      assertEquals(images.map((image) => worker.engine.has(image)), images.map(() => true));
    }
  });
}

Deno.test("a failure keeps its exit code if the reader of standard error is gone", async () => {
  const cases: readonly (readonly [readonly string[], number])[] = [
    [["run", "--config", "/nonexistent.yaml"], 78],
    [["run", "--nonsense"], 2],
    [["history", "--ledger", "/proc/1"], 1],
  ];
  for (const [argv, code] of cases) assertEquals((await withoutReader("stderr", argv)).code, code, argv.join(" "));
});

Deno.test("a failed write to standard output is a failure with a message", async () => {
  const { program, args, ...options } = await launch();
  const { code, stderr } = await new Deno.Command("sh", {
    ...options,
    args: ["-c", '"$@" >/dev/full', "sh", program, ...args, "version"],
    stderr: "piped",
  }).output();
  const text = new TextDecoder().decode(stderr);
  assertEquals(code, 1);
  assertStringIncludes(text, "gilly: cannot write to standard output: No space left on device");
  assert(!text.includes("at "), text);
});
