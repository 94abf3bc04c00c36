// Tests `gilly check --output nagios` of the program as it is installed: one line on standard output, and
// nothing else, with each exit code of a monitoring plugin.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { runGilly } from "../e2e/gilly.ts";
import { fakeImage } from "../fakes/docker_engine.ts";
import { type FakeNode, startNode } from "../fakes/node.ts";
import { withoutServiceManager } from "../support/program.ts";
import { GILLY, missingForBinary, missingForProgram, testIfPossible } from "../support/requirements.ts";

const PASSWORD = "rosebud-0451";
const COUNTS = / \| ok=(\d+);;;0 warning=(\d+);;;0 unknown=(\d+);;;0 critical=(\d+);;;0\n$/;

/** Runs the plugin; asserts that it prints one line and nothing else, and returns the rest of it. */
async function plugin(argv: readonly string[], word: string, code: number) {
  const env = withoutServiceManager();
  const ended = await runGilly(["check", "--output", "nagios", ...argv], {
    program: GILLY,
    args: [],
    env,
    clearEnv: true,
  });
  assertEquals([ended.code, ended.stderr], [code, ""], ended.stdout);
  assertMatch(ended.stdout, /^[\x20-\x7e]{1,998}\n$/);
  assertStringIncludes(ended.stdout, `GILLY ${word} - `);
  assertEquals(ended.stdout.includes(PASSWORD), false);
  assertEquals(ended.stdout.replace(COUNTS, "").includes("|"), false, ended.stdout);
  return { text: ended.stdout.replace(COUNTS, ""), counts: COUNTS.exec(ended.stdout)?.slice(1).map(Number) };
}

/** Writes the state file of a running daemon: this process. */
async function daemonOf(node: FakeNode): Promise<string> {
  const at = new Date().toISOString();
  const state = {
    ...{ version: 1, gilly: "0.1.0", pid: Deno.pid, configFile: node.configFile, startedAt: at, writtenAt: at },
    ...{ lastGoodPassAt: at, podCount: 2, trouble: { pass: null, config: null } },
    ...{ totals: { repaired: 41, failed: 2 }, images: { repairing: 1, waiting: 0, unrepairable: 0 } },
    ...{ containers: [], mirrors: [] },
  };
  const file = `${node.dir}/state.json`;
  await Deno.writeTextFile(file, JSON.stringify(state));
  return file;
}

const up = { state: "up" as const, images: {} };

testIfPossible("the plugin has one line and a code for each state of a node", missingForProgram(), async (t) => {
  await using node = await startNode({
    engine: {
      registries: {
        "mirror.example": up,
        "quay.io": up,
        "down.example": { state: "down", images: { "a:1": fakeImage("a") } },
      },
      imageStore: "containerd",
      version: "28.5.2",
    },
    config: "registries: {gcr.io: mirror.example}\n",
  });
  const config = await Deno.readTextFile(node.configFile);
  const argv = ["--config", node.configFile, "--state-file", await daemonOf(node)];

  await t.step("0: ready", async () => {
    const { text, counts } = await plugin(argv, "OK", 0);
    assertMatch(text, /^GILLY OK - (\d+) checks ok; daemon: Checked 2 pods \d+ s ago: 1 repairing/);
    assertEquals(counts, [Number(/\d+/.exec(text)![0]), 0, 0, 0]);
  });

  await t.step("1: a warning", async () => {
    await Deno.writeTextFile(node.configFile, config.replace("registries: {", "registries: {quay.io: quay.io, "));
    const { text, counts } = await plugin(argv, "WARNING", 1);
    assertMatch(text, /^GILLY WARNING - rule quay\.io: it serves no image: .*; next: \S+:\d+: write the mirror/);
    assertEquals(counts?.slice(1), [1, 0, 0]);
  });

  await t.step("2: a failure, and no secret of the config", async () => {
    const auths = { "down.example": { username: "gilly", password: PASSWORD } };
    await Deno.writeTextFile(`${node.dir}/auth.json`, JSON.stringify({ auths }), { mode: 0o600 });
    await Deno.writeTextFile(
      node.configFile,
      `${config.replace("mirror.example", "down.example")}mirrors: {down.example: {authFile: auth.json}}\n`,
    );
    const { counts } = await plugin(argv, "CRITICAL", 2);
    assertEquals(counts?.[3], 1);
  });

  await t.step("2: a config that is refused, or that is not there", async () => {
    await Deno.writeTextFile(node.configFile, config.replace("mirror.example", "'https://mirror.example|'"));
    const refused = await plugin(argv, "CRITICAL", 2);
    assertMatch(refused.text, /^GILLY CRITICAL - config: \S+:\d+: registries\."gcr\.io": .*; next: fix that line/);
    await Deno.writeTextFile(node.configFile, config);
    await plugin(["--config", `${node.dir}/none.yaml`], "CRITICAL", 2);
  });

  await t.step("3: a wrong command line", async () => {
    for (
      const [flags, says] of [
        [["--bogus"], 'unknown flag "--bogus"'],
        [["--syntax-only"], "--syntax-only does not check the node"],
        [["--renewed"], "--renewed does not check the node"],
        [["--json"], "--json conflicts with --output nagios"],
        [["extra|word\n"], 'unexpected argument "extra/word '],
        [["--config"], "--config requires one FILE"],
      ] as const
    ) assertStringIncludes((await plugin([...argv, ...flags], "UNKNOWN", 3)).text, says);
  });

  await t.step("--json is --output json, and text is what is printed without either", async () => {
    const env = withoutServiceManager();
    const said = async (...flags: string[]) => {
      const launch = { program: GILLY, args: ["check", "--files", ...flags], env, clearEnv: true };
      return await runGilly(["--config", node.configFile], launch);
    };
    const json = await said("--json");
    assertEquals([await said("--output", "json"), await said("--json", "--output=json")], [json, json]);
    assertEquals(await said("--output=text"), await said());
    assertEquals((await said("--json", "--output", "text")).code, 2);
  });

  await t.step("only the config and its files, where that is what is asked", async () => {
    const { text } = await plugin([...argv, "--files"], "OK", 0);
    assertMatch(text, /^GILLY OK - \d checks? ok$/);
  });
});

const missingForUser = [...(Deno.uid() === 0 ? [] : ["root"]), ...missingForBinary()];

testIfPossible(
  "the plugin of a user who may not read the config does not know, instead of failing",
  missingForUser,
  async () => {
    await using node = await startNode({ config: "registries: {gcr.io: mirror.example}\n" });
    await Deno.chmod(node.dir, 0o755);
    await Deno.chmod(node.configFile, 0o640);
    const program = `${node.dir}/gilly`;
    await Deno.copyFile(GILLY, program);
    await Deno.chmod(program, 0o755);
    const args = ["check", "--output=nagios", "--config", node.configFile, "--state-file", await daemonOf(node)];
    await Deno.chmod(`${node.dir}/state.json`, 0o644);
    const { TMPDIR: _folder, ...env } = withoutServiceManager();
    const ended = await new Deno.Command(program, { args, uid: 65534, gid: 65534, clearEnv: true, cwd: "/", env })
      .output();
    const text = new TextDecoder().decode(ended.stdout);
    assertEquals(ended.code, 3, text);
    assertMatch(
      text,
      /^GILLY UNKNOWN - config: .*cannot be read: permission denied.*; next: run it as root: sudo gilly check/,
    );
  },
);
