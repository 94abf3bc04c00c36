import { assert, assertEquals } from "@std/assert";
import { parse } from "@std/yaml";
import { COMMANDS } from "../../lib/commands/mod.ts";
import { checkSettings } from "../../lib/config/settings.ts";
import { PROJECT } from "../../tools/deno.ts";
import { generate } from "../../tools/docs.ts";
import { helpOf, type Script, SCRIPTS } from "../../tools/manuals.ts";
import { makeAuthority } from "../fakes/certificates.ts";
import { fakeImage } from "../fakes/docker_engine.ts";
import { type FakeNode, startNode } from "../fakes/node.ts";
import { gillyCommandsIn, PAGES, PAPERS, readPage } from "../support/pages.ts";
import { freePort } from "../support/ports.ts";
import { launch, runProgram, startProgram } from "../support/program.ts";

for (const [name, contents] of Object.entries(generate())) {
  Deno.test(`docs/${name} matches the schema and the commands (deno task docs)`, () => {
    assertEquals(readPage(`docs/${name}`), contents);
  });
}

for (const script of Object.keys(SCRIPTS) as Script[]) {
  Deno.test(`the manual of ${script} has what --help prints, which fits a terminal of 80 columns`, async () => {
    const args = [`${PROJECT}systemd/${script}`, "--help"];
    const { stdout } = await new Deno.Command("sh", { args }).output();
    const help = helpOf(script);
    assertEquals(new TextDecoder().decode(stdout).slice(0, help.length), help);
    assertEquals(help.split("\n").filter((line) => line.length > 80), []);
  });
}

Deno.test("every gilly command line in the pages and in the help succeeds next to a daemon", async () => {
  const commands = [
    ...PAGES.flatMap((page) => gillyCommandsIn(readPage(page)).map((words) => ({ where: page, words }))),
    ...COMMANDS.map(({ name, example }) => ({ where: `gilly ${name} --help`, words: example.split(" ").slice(1) })),
  ];
  assert(commands.length > 20, "the search finds the commands");
  const images = { "a/b:1": fakeImage("b"), "sgryczan/ansible-runner:0.0.0": fakeImage("ansible-runner") };
  await using node = await startNode({
    engine: { registries: { "mirror.example": { state: "up", images } } },
    config: "registries: {gcr.io: mirror.example}\n" +
      `proxy: {listen: ${freePort()}, certFile: proxy.crt, keyFile: proxy.key, ledgerFile: proxy.jsonl}\n`,
  });
  const { certificatePem, keyPem } = makeAuthority("gilly-test").issueServer({ dnsNames: ["gcr.io"] });
  await Deno.writeTextFile(`${node.dir}/proxy.crt`, certificatePem);
  await Deno.writeTextFile(`${node.dir}/proxy.key`, keyPem);
  const env = { RUNTIME_DIRECTORY: node.dir };
  await using daemon = await startProgram(["run", "--config", node.configFile], env);
  await daemon.waitForLine(/Checks done/);
  for (const { where, words } of commands) {
    const argv = argvOf(words, node);
    // Some run until they are stopped: wait for their first output.
    const code = argv.includes("--watch") || argv[0] === "run" || argv[0] === "proxy"
      ? await runUntilItSpeaks(argv, { RUNTIME_DIRECTORY: await Deno.makeTempDir({ dir: node.dir }) })
      : (await runProgram(argv, env)).code;
    assertEquals(code, 0, `${where}: gilly ${words.join(" ")}`);
  }
});

/**
 * Returns the arguments for a run against that node. A command without its operands is only a
 * mention; for it, returns a call of its help.
 */
function argvOf([name = "", ...words]: readonly string[], node: FakeNode): string[] {
  const { flags, operands } = COMMANDS.find((command) => command.name === name)!;
  if (words.length === 0 && operands !== undefined) return [name, "--help"];
  const own: Readonly<Record<string, string>> = {
    IMAGE: "gcr.io/a/b:1",
    // Each export has a folder of its own: files that differ are not overwritten.
    fix: `${node.dir}/fix-${crypto.randomUUID()}`,
    led: `${node.dir}/led-${crypto.randomUUID()}`,
    "/etc/gilly/config.yaml": node.configFile,
  };
  const argv = [name, ...words.map((word) => own[word] ?? word)];
  const hasConfig = argv.includes("--config") || !flags.some((flag) => flag.name === "config");
  return hasConfig ? argv : [...argv, "--config", node.configFile];
}

async function runUntilItSpeaks(argv: readonly string[], env: Record<string, string>): Promise<number> {
  const { program, args, ...options } = launch(env);
  const child = new Deno.Command(program, { ...options, args: [...args, ...argv], stdout: "piped", stderr: "piped" })
    .spawn();
  const streams = [child.stdout, child.stderr].map((stream) => stream.getReader());
  await Promise.race(streams.map((reader) => reader.read()));
  child.kill("SIGTERM");
  const { code } = await child.status;
  await Promise.all(streams.map((reader) => reader.cancel()));
  return code;
}

Deno.test("the schema accepts the config in the README", () => {
  const block = readPage("README.md").match(/\n {4}kubelet:\n(?: {4}.*\n|\n)+/)![0];
  const document = parse(block.replace(/^ {4}/gm, "")) as Record<string, unknown>;
  assertEquals(checkSettings(document).mistakes, []);
});

Deno.test("every file that a page links to exists", () => {
  for (const page of [...PAGES, ...PAPERS]) {
    for (const [, link = ""] of readPage(page).matchAll(/\]\((?!https?:)([^)#]+)/g)) {
      assert(Deno.statSync(new URL(link, `file://${PROJECT}${page}`)).isFile, `${page} links to ${link}`);
    }
  }
});
