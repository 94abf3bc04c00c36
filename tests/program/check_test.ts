import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type Finding, renderFindings, worstOf } from "../../lib/check/finding.ts";
import { PROJECT } from "../../tools/deno.ts";
import { fakeImage } from "../fakes/docker_engine.ts";
import { missingForMtls } from "../fakes/mtls_proxy.ts";
import { type FakeNode, startNode } from "../fakes/node.ts";
import { assertGolden } from "../support/golden.ts";
import { runProgram } from "../support/program.ts";
import { testIfPossible } from "../support/requirements.ts";
import { settled } from "../support/settled.ts";

const up = (images: Record<string, ReturnType<typeof fakeImage>>) => ({ state: "up" as const, images });
const pod = (name: string, image: string) => ({ name, containers: [{ name: "app", image }] });
const inDays = (days: number) => new Date(Date.now() + days * 86_400_000 + 3_600_000);
const DIGEST = fakeImage("pinned").digest;

/** Writes a daemon's state file with this process as the daemon, so that the daemon is alive. */
async function writeState(node: FakeNode, cooldowns: Record<string, string>): Promise<string> {
  const at = new Date().toISOString();
  const mirrors = Object.entries(cooldowns).map(([mirror, because]) => (
    { mirror, state: "cooling-down", coolingDownUntil: new Date(Date.now() + 57_000).toISOString(), because }
  ));
  const state = {
    ...{ version: 1, gilly: "0.1.0", pid: Deno.pid, configFile: node.configFile, startedAt: at, writtenAt: at },
    ...{ lastGoodPassAt: at, podCount: 2, trouble: { pass: null, config: null } },
    ...{ totals: { repaired: 41, failed: 2 }, images: { repairing: 1, waiting: 0, unrepairable: 0 } },
    ...{ containers: [], mirrors },
  };
  const file = `${node.dir}/state.json`;
  await Deno.writeTextFile(file, JSON.stringify(state));
  return file;
}

/** Runs check as text and JSON, compares both with the golden files, and returns the exit code. */
async function assertChecked(name: string, node: FakeNode, stateFile: string): Promise<number> {
  const argv = ["check", "--config", node.configFile, "--state-file", stateFile];
  const [text, json] = await Promise.all([runProgram(argv), runProgram([...argv, "--json"])]);
  assertEquals([text.stderr, json.stderr, text.code], ["", "", json.code]);
  const findings = JSON.parse(settled(json.stdout, node.dir)) as Finding[];
  assertGolden(settled(text.stdout, node.dir), `check/${name}.txt`);
  assertGolden(`${JSON.stringify(findings, null, 2)}\n`, `check/${name}.json`);
  const folded = renderFindings(findings, 80);
  assertGolden(folded, `check/${name}.80.txt`);
  assertEquals(folded.split("\n").filter((line) => line.length > 80), []);
  const refused = findings.some(({ name, verdict }) => name === "config" && verdict === "fail");
  assertEquals(text.code, refused ? 78 : worstOf(findings) === "fail" ? 1 : 0);
  return text.code;
}

Deno.test("check --syntax-only checks the text of a config, and reads no file that it names", async () => {
  const file = await Deno.makeTempFile({ suffix: ".yaml" });
  const check = (text: string) => {
    Deno.writeTextFileSync(file, text);
    return runProgram(["check", "--syntax-only", "--config", file]);
  };
  try {
    const config =
      "kubelet: {url: 'https://{hostname}:10250', tokenFile: /nowhere/token}\nregistries: {gcr.io: m.example}\n";
    const good = await check(config);
    assertEquals([good.code, good.stderr], [0, ""]);
    assertEquals(good.stdout, `ok    config: ${file} is valid, with 1 rule\n\n1 ok, 0 warn, 0 fail\n`);
    const idle = await check(config.replace("m.example", "gcr.io"));
    assertEquals(idle.code, 0);
    assertStringIncludes(
      idle.stdout,
      "warn  rule gcr.io: it serves no image: gcr.io is a mirror of its own, " +
        `and what a mirror has is never pulled through another\n      → ${file}:2: write the mirror`,
    );
    const bad = await check(config.replace("m.example", "https://m.example"));
    assertEquals([bad.code, bad.stderr], [78, ""]);
    assertMatch(
      bad.stdout,
      /^fail {2}config: \S+:2: registries\."gcr\.io": "https:\/\/m\.example" .*leave out https:/,
    );
  } finally {
    await Deno.remove(file);
  }
});

testIfPossible("check of a ready node ends with 0", missingForMtls(), async () => {
  await using node = await startNode({
    pods: [pod("web", "gcr.io/a/web:1")],
    images: { "gcr.io/a/web:1": fakeImage("web"), "k8s.gcr.io/pause:3.2": fakeImage("pause") },
    engine: {
      registries: { "mirror.example": up({}), "mirror-2.example:5000": up({}) },
      imageStore: "containerd",
      version: "28.5.2",
    },
    client: { notAfter: inDays(300), organization: "operators" },
    config: "registries:\n  gcr.io: mirror.example\n  quay.io: [mirror.example, mirror-2.example:5000/quay]\n" +
      "  k8s.gcr.io: mirror.example\nkeep: [k8s.gcr.io/pause:3.2]\n",
  });
  assertEquals(await assertChecked("ready", node, await writeState(node, {})), 0);
  assertEquals(node.engine.unexpected, []);
  const writes = node.engine.journal.filter(({ method }) => method !== "GET");
  assertEquals(writes, []);
});

testIfPossible(
  "check reports every problem of a node with the next step, and ends with 1",
  missingForMtls(),
  async () => {
    const password = "rosebud-0451";
    await using node = await startNode({
      pods: [
        pod("always", "gcr.io/a/always"),
        pod("pinned", `gcr.io/a/pinned@${DIGEST}`),
        pod("other", "ghcr.io/a/b:1"),
      ],
      engine: {
        registries: {
          "mirror.example": up({ "pause:3.5": fakeImage("pause") }),
          "wants.example": { ...up({}), credentials: { username: "gilly", password: "another" } },
          "refuses.example": { ...up({}), credentials: { username: "gilly", password: "another" } },
          "down.example": { state: "down", images: {} },
          "busy.example": { state: "rate-limited", images: {} },
        },
      },
      client: { notAfter: inDays(9), organization: "system:masters" },
      config: [
        "registries:",
        "  gcr.io: mirror.example",
        "  quay.io: [wants.example, refuses.example, helped.example]",
        '  "*.pkg.dev": "down.example/proxy/{registry}"',
        "  k8s.gcr.io: [busy.example, mirror.example]",
        "mirrors:",
        "  refuses.example: {authFile: wrong.json}",
        "  busy.example: {authFile: nothing.json}",
        "keep: [k8s.gcr.io/pause:3.5, gcr.io/lost:1, nginx:1]",
        "",
      ].join("\n"),
    });
    const auths = { "refuses.example": { username: "gilly", password } };
    await Deno.writeTextFile(`${node.dir}/wrong.json`, JSON.stringify({ auths }), { mode: 0o600 });
    const stateFile = await writeState(node, { "down.example": "connection refused" });
    assertEquals(await assertChecked("troubled", node, stateFile), 1);
    assertEquals(node.engine.unexpected, []);
    const golden = await Deno.readTextFile(`${PROJECT}tests/testdata/golden/check/troubled.txt`);
    assertEquals(golden.includes(password), false);
  },
);

testIfPossible(
  "check reports what it could not check if neither the kubelet nor Docker answers",
  missingForMtls(),
  async () => {
    await using node = await startNode({ client: {} });
    await node.engine.stop();
    await Deno.writeTextFile(`${node.dir}/client.key`, "no key at all");
    assertEquals(await assertChecked("unasked", node, `${node.dir}/none.json`), 1);
  },
);

testIfPossible(
  "check of a ready node reports a stopped daemon first, as a failure",
  missingForMtls(),
  async () => {
    await using node = await startNode({
      engine: { registries: { "mirror.example": up({}), "mirror-2.example": up({}) } },
      client: { notAfter: inDays(300) },
    });
    const running = await writeState(node, {});
    const check = async (...argv: string[]) => {
      const { code, stdout } = await runProgram(["check", "--json", "--config", node.configFile, ...argv]);
      return { code, findings: JSON.parse(stdout) as Finding[] };
    };
    assertEquals((await check("--state-file", running)).code, 0);
    const state = JSON.parse(await Deno.readTextFile(running));
    const next = (verb: string, says: string) => `systemctl ${verb} gilly; journalctl -u gilly -n 20 says ${says}`;
    await Deno.writeTextFile(running, JSON.stringify({ ...state, writtenAt: "2020-01-01T00:00:00Z" }));
    const silent = await check("--state-file", running);
    assertMatch(
      silent.findings[0]!.message,
      /^not running: pid \d+, which wrote \S+ \d+ days ago, has written nothing since/,
    );
    assertEquals([silent.code, silent.findings[0]!.remedy], [1, next("restart", "what it did last")]);
    assertEquals(silent.findings.map(({ verdict }) => verdict).filter((it) => it === "fail").length, 1);
  },
);

testIfPossible("check --files reads only the config and its files", missingForMtls(), async () => {
  await using node = await startNode({ client: { notAfter: inDays(300) } });
  const check = () => runProgram(["check", "--files", "--config", node.configFile]);
  const good = await check();
  assertEquals([good.code, good.stdout.match(/^\w+ +([\w. ]+):/gm)?.map((it) => it.replace(/^ok +/, ""))], [
    0,
    ["config:", "kubelet.caFile:", "kubelet.certFile:", "kubelet.keyFile:", "kubelet rights:"],
  ]);
  assertEquals([node.kubelet.requests.length, node.engine.journal.length], [0, 0]);
  await Deno.writeTextFile(`${node.dir}/client.key`, "no key at all");
  assertEquals((await check()).code, 1);
});

Deno.test("check lists every mistake of a refused config, and ends with 78", async () => {
  await using node = await startNode();
  await Deno.writeTextFile(
    node.configFile,
    "kubelet: {url: ftp://x}\nregistry: {gcr.io: m.example}\npoll: {interval: soon}\n",
  );
  assertEquals(await assertChecked("refused", node, `${node.dir}/none.json`), 78);
});

Deno.test("check distinguishes an untrusted kubelet from one that does not answer", async () => {
  await using node = await startNode({
    engine: { registries: { "mirror.example": up({}), "mirror-2.example": up({}) } },
  });
  const state = ["--state-file", await writeState(node, {})];
  const failing = async () => {
    const { code, stdout } = await runProgram(["check", "--json", "--config", node.configFile, ...state]);
    assertEquals(code, 1);
    const findings = JSON.parse(stdout) as Finding[];
    return findings.filter(({ verdict, name }) => verdict === "fail" || name === "kubelet")
      .map(({ name, verdict, message }) => `${verdict} ${name}: ${settled(message, node.dir)}`);
  };
  const config = await Deno.readTextFile(node.configFile);
  await Deno.writeTextFile(node.configFile, config.replace("https://localhost", "https://127.0.0.1"));
  assertEquals((await failing())[1], "fail kubelet certificate: 127.0.0.1 presents a certificate issued for localhost");
  await Deno.writeTextFile(node.configFile, config);
  node.kubelet.answerWith({ status: 403 });
  assertMatch((await failing())[0]!, /^fail kubelet access: .* answered 403: "Forbidden/);
  await Deno.writeTextFile(node.configFile, config.replace(/localhost:\d+/, "localhost:1"));
  const [first] = await failing();
  assertMatch(first!, /^fail kubelet: .* does not answer: tcp connect error: Connection refused/);
});
