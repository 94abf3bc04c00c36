import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { LedgerEntry } from "../../lib/record/entry.ts";
import { fakeImage } from "../fakes/docker_engine.ts";
import { type FakeNode, startNode } from "../fakes/node.ts";
import { assertGolden } from "../support/golden.ts";
import { launch, runProgram } from "../support/program.ts";
import { testIfPossible } from "../support/requirements.ts";
import { settled } from "../support/settled.ts";
import { missingForTerminal, Terminal } from "../support/terminal.ts";

/**
 * A node whose mirror has a/b, where a/here is present, and only quay.io's second mirror has q/r.
 */
function startPullNode(): Promise<FakeNode> {
  const images = { "a/b:1": fakeImage("b", [3_000_000, 120_000_000]), "a/here:1": fakeImage("here") };
  return startNode({
    images: { "gcr.io/a/here:1": fakeImage("here") },
    engine: {
      registries: {
        "mirror.example": { state: "up", images },
        "mirror-2.example": { state: "up", images: { "q/r:1": fakeImage("r", [500]) } },
      },
    },
  });
}

Deno.test("pull in a pipe prints results as lines, progress on standard error, and writes the ledger", async () => {
  await using node = await startPullNode();
  const argv = ["pull", "--config", node.configFile, "gcr.io/a/b:1"];
  const { code, stdout, stderr } = await runProgram(argv, { SUDO_USER: "" });
  assertEquals(code, 0);
  assertGolden(settled(stdout, node.dir), "pull/pipe.txt");
  assertGolden(settled(stderr, node.dir), "pull/pipe.progress.txt");
  const entry = JSON.parse(await Deno.readTextFile(node.ledgerFile)) as LedgerEntry;
  assertEquals([entry.result, entry.mirror, entry.pods], ["repaired", "mirror.example", []]);
  assertEquals(
    entry.askedBy,
    `gilly pull (${
      new TextDecoder().decode((await new Deno.Command("id", { args: ["-un"] }).output()).stdout).trim()
    })`,
  );
  assertEquals(node.engine.idOf("gcr.io/a/b:1"), node.engine.idOf("mirror.example/a/b:1"));
  assertEquals(node.engine.unexpected, []);
});

Deno.test("history names the user who pulled, also behind sudo, and does not blame the keep list", async () => {
  await using node = await startPullNode();
  const behindSudo = Deno.uid() === 0;
  await runProgram(["pull", "--config", node.configFile, "gcr.io/a/b:1"], { SUDO_USER: "alice" });
  const { stdout } = await runProgram(["history", "--config", node.configFile]);
  const [, row = ""] = stdout.split("\n");
  assertEquals(row.includes("gcr.io/a/b:1  gilly pull (alice)  mirror.example"), behindSudo, row);
  assert(row.includes("  gilly pull ("), row);
  assert(!stdout.includes("keep list"), stdout);
});

Deno.test("pull --json answers for every image in order, and ends with 1 if one is not present afterwards", async () => {
  await using node = await startPullNode();
  const images = ["quay.io/q/r:1", "gcr.io/a/here:1", "gcr.io/lost:1", "ghcr.io/x:1", "UPPER:1", "quay.io/q/r:1"];
  const { code, stdout } = await runProgram(["pull", "--json", "--config", node.configFile, ...images]);
  assertEquals(code, 1);
  assertGolden(settled(stdout, node.dir), "pull/several.json");
});

Deno.test("pull of a present image pulls nothing, writes nothing to the ledger, and ends with 0", async () => {
  await using node = await startPullNode();
  const { code, stdout } = await runProgram(["pull", "--config", node.configFile, "gcr.io/a/here:1"]);
  assertEquals([code, node.engine.pulls()], [0, []]);
  assertStringIncludes(stdout, "present  gcr.io/a/here:1\n        sha256:");
  assertEquals(await Deno.stat(node.ledgerFile).catch(() => undefined), undefined);
});

Deno.test("pull prints on standard error why an image is unavailable", async () => {
  await using node = await startPullNode();
  const { code, stdout, stderr } = await runProgram([
    "pull",
    "--config",
    node.configFile,
    "gcr.io/lost:1",
    "ghcr.io/x:1",
  ]);
  assertEquals([code, stdout], [1, ""]);
  assertStringIncludes(stderr, "failed   gcr.io/lost:1: not-in-mirror: ");
  assertStringIncludes(stderr, "failed   ghcr.io/x:1: no-rule: no rule maps ghcr.io");
});

Deno.test("pull requires an image", async () => {
  const { code, stderr } = await runProgram(["pull"]);
  assertEquals(code, 2);
  assertStringIncludes(stderr, "at least one IMAGE");
});

for (const [signal, expected] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  Deno.test(`${signal} stops the pulls, leaves no partial image, and ends with ${expected}`, async () => {
    await using node = await startPullNode();
    const hold = node.engine.hold("layers");
    const { program, args, ...options } = launch();
    const child = new Deno.Command(program, {
      ...options,
      args: [...args, "pull", "--config", node.configFile, "gcr.io/a/b:1"],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const ended = child.output();
    await hold.reached;
    child.kill(signal);
    const { code, stderr } = await ended;
    assertEquals(code, expected);
    assertStringIncludes(new TextDecoder().decode(stderr), "interrupted: gcr.io/a/b:1 not repaired");
    const call = await node.engine.waitFor((call) => call.path === "/images/create" && call.ended !== undefined);
    assertEquals(call.ended, "aborted");
    assertEquals([node.engine.has("gcr.io/a/b:1"), node.engine.has("gcr.io/a/here:1")], [false, true]);
  });
}

testIfPossible(
  "at 80 columns every layer has a bar, drawn in place",
  missingForTerminal(),
  async () => {
    await using node = await startPullNode();
    const hold = node.engine.hold("end");
    await using terminal = Terminal.run(["pull", "--config", node.configFile, "gcr.io/a/b:1", "quay.io/q/r:1"]);
    await hold.reached;
    await terminal.until((screen) => screen.filter((line) => line.includes("[====")).length === 3);
    assertGolden(settled(terminal.text, node.dir), "pull/terminal.txt");
    hold.release();
    assertEquals(await terminal.ended(), 0);
    assertEquals(terminal.screen().filter((line) => line.includes("[")), []);
    assertStringIncludes(terminal.text, "repaired gcr.io/a/b:1\n        from mirror.example/a/b:1, 123.0 MB in ");
  },
);

testIfPossible("Ctrl-C on a terminal removes the bars and ends with 130", missingForTerminal(), async () => {
  await using node = await startPullNode();
  const hold = node.engine.hold("end");
  await using terminal = Terminal.run(["pull", "--config", node.configFile, "gcr.io/a/b:1"]);
  await hold.reached;
  await terminal.until((screen) => screen.some((line) => line.includes("[====")));
  await terminal.type("\x03");
  assertEquals(await terminal.ended(), 130);
  assertEquals(terminal.text, "interrupted: gcr.io/a/b:1 not repaired\n");
  // Nothing that would have to be reset: no hidden cursor, no alternate screen, no color.
  // deno-lint-ignore no-control-regex
  assert(!/\x1b\[(?!\d*[AJ])/.test(terminal.raw), JSON.stringify(terminal.raw));
});
