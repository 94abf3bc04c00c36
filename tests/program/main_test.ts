import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { LedgerEntry } from "../../lib/record/entry.ts";
import { fakeImage } from "../fakes/docker_engine.ts";
import { startNode } from "../fakes/node.ts";
import { runProgram } from "../support/program.ts";

const pod = (name: string, ...images: string[]) => ({
  name,
  containers: images.map((image, index) => ({ name: index === 0 ? "app" : `app-${index}`, image })),
});

const up = (images: Record<string, ReturnType<typeof fakeImage>>) => ({ state: "up" as const, images });

Deno.test("once repairs a pod, logs the tags in order, and writes the ledger", async () => {
  await using node = await startNode({
    pods: [pod("myapp", "gcr.io/sgryczan/ansible-runner:0.0.0")],
    engine: { registries: { "mirror.example": up({ "sgryczan/ansible-runner:0.0.0": fakeImage("runner") }) } },
  });
  const { code, stderr } = await runProgram(["once", "--config", node.configFile]);
  assertEquals(code, 0, stderr);
  const lines = stderr.trimEnd().split("\n").map((line) => line.replace(/^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d /, ""));
  const reason = lines.find((line) => line.includes("reason:"))!.split("reason: ")[1];
  assertEquals(lines.slice(0, -1), [
    "[NewConnection]  Established connection to kubelet",
    `[Main]  host: ${node.kubelet.url}`,
    "[GetPods]  Pulled 1 running pods.",
    "[Validate]  Detected pod myapp in Pending state.",
    `[Validate]  Detected container app in pod myapp status is ${reason}`,
    `[Validate]  Detected container app in pod myapp reason: ${reason}`,
    "[Validate]  Checked 1 Pods, found 1 waiting",
    "[Main]  Checks done. Sleeping for awhile",
    "[ReplaceImageRegistry]  got chunks: [gcr.io sgryczan ansible-runner:0.0.0]",
    "[PullImage]  pulling image: mirror.example/sgryczan/ansible-runner:0.0.0",
    "[TagImage] tagged image: mirror.example/sgryczan/ansible-runner:0.0.0 to gcr.io/sgryczan/ansible-runner:0.0.0",
  ]);
  assertMatch(
    lines.at(-1)!,
    /^\[Repair\] {2}repaired gcr\.io\/sgryczan\/ansible-runner:0\.0\.0 for default\/myapp in /,
  );
  const ledger = await Deno.readTextFile(node.ledgerFile);
  const entry = JSON.parse(ledger) as LedgerEntry;
  assertEquals([entry.result, entry.mirror, entry.pods], ["repaired", "mirror.example", ["default/myapp"]]);
  await node.kubelet.advance();
  assertEquals(node.kubelet.containers()[0]?.state, "Running");
  assertEquals(node.engine.unexpected, []);
});

Deno.test("once --dry-run prints the plan and makes no calls to Docker", async () => {
  await using node = await startNode({
    pods: [pod("a", "gcr.io/a/b:1"), pod("b", "ghcr.io/a/b:1"), pod("c", "gcr.io/a/b:1")],
  });
  const text = await runProgram(["once", "--dry-run", "--config", node.configFile]);
  assertEquals(text.code, 0, text.stderr);
  assertStringIncludes(
    text.stdout,
    "repair  gcr.io/a/b:1 for default/a, default/c\n          from mirror.example/a/b:1\n",
  );
  assertStringIncludes(text.stdout, "skip    ghcr.io/a/b:1 for default/b: no-rule: no rule maps ghcr.io");
  const json = await runProgram(["once", "--dry-run", "--json", "--config", node.configFile]);
  const plan = JSON.parse(json.stdout);
  assertEquals(plan.repairs[0].candidates, ["mirror.example/a/b:1"]);
  assertEquals(plan.skips[0].reason, "no-rule");
  assertEquals(node.engine.journal, []);
});

Deno.test("an image that is unavailable delays no other, and once exits with 1", async () => {
  await using node = await startNode({
    pods: [pod("lost", "gcr.io/a/lost:1"), pod("found", "gcr.io/a/found:1")],
    engine: { registries: { "mirror.example": up({ "a/found:1": fakeImage("found") }) } },
  });
  const { code, stderr } = await runProgram(["once", "--config", node.configFile]);
  assertEquals(code, 1);
  assert(node.engine.has("gcr.io/a/found:1"));
  assert(!node.engine.has("gcr.io/a/lost:1"));
  assertStringIncludes(stderr, "cannot repair gcr.io/a/lost:1 for default/lost: not-in-mirror");
});

// Bugs of the program of 2020.
for (
  const [name, image, path] of [
    ["one path element, where it panicked", "gcr.io/pause:3", "pause:3"],
    ["three path elements, where it pulled a/b and tagged the wrong image", "gcr.io/a/b/c:1", "a/b/c:1"],
  ] as const
) {
  Deno.test(`an image with ${name}`, async () => {
    await using node = await startNode({
      pods: [pod("p", image)],
      engine: { registries: { "mirror.example": up({ [path]: fakeImage("right"), "a/b:1": fakeImage("wrong") }) } },
    });
    const { code, stderr } = await runProgram(["once", "--config", node.configFile]);
    assertEquals(code, 0, stderr);
    assertEquals(node.engine.idOf(image), node.engine.idOf(`mirror.example/${path}`));
  });
}

Deno.test("the mirror's own images are never rewritten", async () => {
  await using node = await startNode({
    pods: [pod("own", "mirror.example/a/b:1")],
    config: 'registries: {"*": mirror.example}',
  });
  const { stderr } = await runProgram(["once", "--config", node.configFile]);
  assertStringIncludes(stderr, "mirror.example is itself a mirror");
  assertEquals(node.engine.journal, []);
});

Deno.test("explain prints an array of objects, even for images that cannot be repaired", async () => {
  await using node = await startNode();
  const images = ["quay.io/a/b", "gcr.io/UPPER:1", "nginx"];
  const { code, stdout } = await runProgram(["explain", "--json", "--config", node.configFile, ...images]);
  assertEquals(code, 0);
  const [first, second, third] = JSON.parse(stdout);
  const { line, decides, local, ledger, ...rest } = first;
  assertEquals(decides, { key: 'registries."quay.io"', line });
  assertEquals([local, ledger], [{ state: "absent" }, { entries: 0, last: null }]);
  assertEquals(rest, {
    image: "quay.io/a/b",
    reference: "quay.io/a/b:latest",
    rule: "quay.io",
    candidates: ["mirror.example/a/b:latest", "mirror-2.example/a/b:latest"],
    credentials: [null, null],
    proxy: "off",
  });
  assertEquals([second.reference, second.reason, second.candidates], [null, "invalid-reference", []]);
  assertEquals([third.reference, third.rule, third.reason], ["docker.io/library/nginx:latest", null, "no-rule"]);
});

Deno.test("a rule that serves no image is a warning at the start", async () => {
  await using node = await startNode({ config: "registries: {gcr.io: m.example, registry-1.docker.io: m.example}\n" });
  const { stderr } = await runProgram(["once", "--config", node.configFile]);
  const warning = `${node.configFile}:4: the rule for registry-1.docker.io serves no image: ` +
    "images are named docker.io, whatever server has them; write docker.io in place of registry-1.docker.io\n";
  assertStringIncludes(stderr, `[Config]  ${warning}`);
});

Deno.test("a config with mistakes is refused with file, line and key of each, and exit 78", async () => {
  const dir = await Deno.makeTempDir();
  const file = `${dir}/config.yaml`;
  await Deno.writeTextFile(
    file,
    `kubelet:\n  url: ftp://x\n  caFile: missing.pem\nregistry:\n  gcr.io: m.example\npoll: {interval: soon}\n`,
  );
  for (const command of [["run"], ["once"], ["explain", "gcr.io/a/b"]]) {
    const { code, stderr } = await runProgram([...command, "--config", file]);
    assertEquals(code, 78);
    assertStringIncludes(stderr, `${file}:2: kubelet.url:`);
    assertStringIncludes(stderr, `${file}:4: registry:`);
    assertStringIncludes(stderr, "registries");
    assertStringIncludes(stderr, `${file}:6: poll.interval:`);
  }
  await Deno.remove(dir, { recursive: true });
});

Deno.test("a missing config is refused with its name", async () => {
  const { code, stderr } = await runProgram(["once", "--config", "/nonexistent/gilly.yaml"]);
  assertEquals(code, 78);
  assertStringIncludes(stderr, "/nonexistent/gilly.yaml");
});

for (
  const [argv, message] of [
    [["explian"], "did you mean explain?"],
    [["run", "--confg", "x"], "did you mean --config?"],
    [["explain"], "at least one IMAGE"],
    [["once", "extra"], "unexpected argument"],
    [["--config", "x", "run"], "the command comes first"],
  ] as const
) {
  Deno.test(`gilly ${argv.join(" ")} is a usage error: ${message}`, async () => {
    const { code, stderr } = await runProgram(argv);
    assertEquals(code, 2);
    assertStringIncludes(stderr, message);
  });
}

Deno.test("version and help go to standard output with exit 0", async () => {
  const version = await runProgram(["version"]);
  assertMatch(version.stdout, /^gilly \d+\.\d+\.\d+ /);
  const help = await runProgram([]);
  assertStringIncludes(help.stdout, "Usage: gilly COMMAND");
  assertEquals([version.code, help.code], [0, 0]);
});
