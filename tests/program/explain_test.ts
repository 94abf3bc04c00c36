import { assertEquals, assertMatch } from "@std/assert";
import { fakeImage } from "../fakes/docker_engine.ts";
import { startNode } from "../fakes/node.ts";
import { assertGolden } from "../support/golden.ts";
import { runProgram } from "../support/program.ts";
import { settled } from "../support/settled.ts";

const DIGEST = fakeImage("pinned").digest;
const CONFIG = [
  "registries:",
  "  gcr.io: [mirror.example, mirror-2.example:5000/gcr]",
  "  quay.io: mirror.example",
  "exclude:",
  "  images:",
  '    - "quay.io/other/**"',
  '    - "gcr.io/internal/**"',
  "",
].join("\n");
const IMAGES = [
  "gcr.io/a/here:1",
  `gcr.io/a/pinned@${DIGEST}`,
  "gcr.io/internal/x:1",
  "mirror.example/a/b:1",
  "nginx",
  "quay.io/a/lost",
  "gcr.io/UPPER:1",
];
const LEDGER = [
  { time: "2026-10-01T00:00:00Z", result: "failed", image: "gcr.io/a/here:1", reference: "gcr.io/a/here:1", pods: [] },
  {
    time: "2026-10-02T00:00:00Z",
    result: "repaired",
    image: "gcr.io/a/here:1",
    reference: "gcr.io/a/here:1",
    pods: ["default/web"],
    candidate: "mirror.example/a/here:1",
  },
  { time: "2026-10-03T00:00:00Z", result: "unrepairable", image: "nginx", pods: ["default/n"], reason: "no-rule" },
];

Deno.test("explain prints the deciding line, the local state and the ledger's entries", async () => {
  await using node = await startNode({ images: { "gcr.io/a/here:1": fakeImage("here") }, config: CONFIG });
  await Deno.writeTextFile(node.ledgerFile, LEDGER.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
  const argv = ["explain", "--config", node.configFile, ...IMAGES];
  const [text, json] = await Promise.all([runProgram(argv), runProgram([...argv, "--json"])]);
  assertEquals([text.code, text.stderr, json.code, json.stderr], [0, "", 0, ""]);
  assertGolden(settled(text.stdout, node.dir), "explain/every_kind.txt");
  assertGolden(settled(json.stdout, node.dir), "explain/every_kind.json");
  assertEquals([node.engine.pulls(), node.engine.unexpected], [[], []]);
  const lines = (await Deno.readTextFile(node.configFile)).split("\n");
  const decides = JSON.parse(json.stdout).map(({ decides }: { decides: { line: number } | null }) =>
    decides === null ? null : lines[decides.line - 1]!.trim()
  );
  assertEquals(decides, [
    "gcr.io: [mirror.example, mirror-2.example:5000/gcr]",
    "gcr.io: [mirror.example, mirror-2.example:5000/gcr]",
    '- "gcr.io/internal/**"',
    "gcr.io: [mirror.example, mirror-2.example:5000/gcr]",
    "registries:",
    "quay.io: mirror.example",
    null,
  ]);
});

Deno.test("explain continues if Docker does not answer and the ledger cannot be read, and reports both", async () => {
  await using node = await startNode({ config: CONFIG });
  await node.engine.stop();
  await Deno.mkdir(node.ledgerFile);
  const { code, stdout } = await runProgram(["explain", "--json", "--config", node.configFile, "gcr.io/a/b:1"]);
  const [{ local, ledger, candidates }] = JSON.parse(stdout);
  assertEquals([code, local.state, ledger.entries, candidates.length], [0, "unknown", null, 2]);
  assertMatch(local.because, /No such file/);
  assertMatch(ledger.because, /cannot read the ledger/);
});
