// Tests `gilly history`: its filters, its columns and its messages.

import { assertEquals, assertMatch } from "@std/assert";
import type { LedgerEntry } from "../../lib/record/entry.ts";
import { historyFilter, historyLines, type HistoryQuery, inOrder, sinceTime } from "../../lib/record/history.ts";
import { readLedger } from "../../lib/record/ledger.ts";
import { PROJECT } from "../../tools/deno.ts";
import { assertGolden } from "../support/golden.ts";
import { launch, runProgram } from "../support/program.ts";

const LEDGER = `${PROJECT}tests/testdata/ledger/ledger.jsonl`;
const { entries: ENTRIES } = await readLedger(LEDGER);
const NOW = Date.UTC(2026, 10, 1, 1, 11, 53);

/** An argument of --since and the time that it means; local times are those of this host. */
const TIMES: readonly (readonly [string, number | undefined])[] = [
  ["90s", NOW - 90_000],
  ["30m", NOW - 1_800_000],
  ["2h", NOW - 7_200_000],
  ["7d", NOW - 7 * 86_400_000],
  ["1w", NOW - 7 * 86_400_000],
  ["2026-11-01", new Date(2026, 10, 1).getTime()],
  ["2026-11-01T12:30", new Date(2026, 10, 1, 12, 30).getTime()],
  ["2026-11-01 12:30:15", new Date(2026, 10, 1, 12, 30, 15).getTime()],
  ["2026-11-01T12:30:15.250Z", Date.UTC(2026, 10, 1, 12, 30, 15, 250)],
  ["2026-11-01T12:30:00+02:00", Date.UTC(2026, 10, 1, 10, 30)],
  ["2026-11-01T12:30:00-0530", Date.UTC(2026, 10, 1, 18, 0)],
  ["yesterday", undefined],
  ["2", undefined],
  ["2 h", undefined],
  ["-2h", undefined],
  ["", undefined],
  ["2026-13-01", undefined],
  ["2026-11-01T25:00:00Z", undefined],
  ["1e9d", undefined],
];

for (const [text, time] of TIMES) {
  Deno.test(`--since ${JSON.stringify(text)} is ${time === undefined ? "refused" : "understood"}`, () => {
    assertEquals(sinceTime(text, NOW), time);
  });
}

Deno.test("two ledgers become one in the order of time", async () => {
  const entries = (...times: string[]) => times.map((time): LedgerEntry => ({ ...ENTRIES[0]!, time }));
  async function* from(list: readonly LedgerEntry[]) {
    yield* list;
  }
  const merged = await Array.fromAsync(inOrder([
    from(entries("2026-11-01T00:00:01Z", "2026-11-01T00:00:04Z")),
    from(entries("?", "2026-11-01T00:00:02Z", "2026-11-01T00:00:03Z", "2026-11-01T00:00:05Z")),
    from([]),
  ]));
  assertEquals(merged.map(({ time }) => time.slice(-2, -1)), ["", "1", "2", "3", "4", "5"]);
});

Deno.test("a pull that another mirror continued says so", () => {
  const served: LedgerEntry = { ...ENTRIES[0]!, result: "served", resumed: 2 };
  for (const width of [Infinity, 80]) {
    const text = historyLines([served], {}, width).join(" ").replace(/\s+/g, " ");
    assertMatch(text, /2 layers continued by another mirror/);
  }
});

/** A query, and the images of the entries that match. */
const QUERIES: readonly (readonly [HistoryQuery, readonly string[]])[] = [
  [{}, ENTRIES.map(({ image }) => image)],
  [{ since: Date.UTC(2026, 10, 1) }, ["gcr.io/a/there:1", "k8s.gcr.io/pause:3.2", "gcr.io/a/later:1"]],
  [{ pod: "myapp" }, ["gcr.io/sgryczan/ansible-runner:0.0.0"]],
  [{ pod: "default/myapp" }, ["gcr.io/sgryczan/ansible-runner:0.0.0"]],
  [{ pod: "other/myapp" }, []],
  [{ pod: "mya" }, []],
  [{ pod: "recommendations-*-defgh" }, ["quay.io/shop/team/recommendations-service-with-a-long-name:2026-10-31"]],
  [{ pod: "shop/*" }, ["quay.io/shop/team/recommendations-service-with-a-long-name:2026-10-31"]],
  [{ pod: "*there*" }, ["gcr.io/a/there:1"]],
  [{ image: "ansible" }, ["gcr.io/sgryczan/ansible-runner:0.0.0"]],
  [{ image: "google_containers" }, ["k8s.gcr.io/pause:3.2"]],
  [{ image: "gcr.io/a/*" }, ["gcr.io/a/there:1", "gcr.io/a/later:1"]],
  [{ image: "*:1" }, ["ghcr.io/nobody/knows:1", "gcr.io/a/there:1", "gcr.io/a/later:1"]],
  [{ image: "a*a*a*a*a*a*a*a*b" }, []],
  [{ image: "gcr.io/a/", pod: "later", since: 0 }, ["gcr.io/a/later:1"]],
];

for (const [query, images] of QUERIES) {
  Deno.test(`history of ${JSON.stringify(query)}`, () => {
    assertEquals(ENTRIES.filter(historyFilter(query)).map(({ image }) => image), [...images]);
  });
}

Deno.test("an entry with an invalid time is not hidden by --since", () => {
  const odd: LedgerEntry = { time: "soon", result: "failed", image: "a", pods: [] };
  assertEquals(historyFilter({ since: NOW })(odd), true);
});

Deno.test("a pod that is queried is named, however many others share the row", () => {
  const [, , row = ""] = historyLines(ENTRIES, { pod: "recommendations-5f6d8c7b9-defgh" }, 80).slice(4);
  const text = historyLines(ENTRIES, { pod: "recommendations-5f6d8c7b9-defgh" }, Infinity).join("\n");
  assertMatch(text, / shop\/recommendations-5f6d8c7b9-defgh, .* and 1 more /);
  assertEquals(row.length <= 80, true);
});

Deno.test("without a pod the table names the requester, as far as an older entry records it", () => {
  const entry: LedgerEntry = { time: "2026-11-01T00:00:00Z", result: "repaired", image: "gcr.io/a/b:1", pods: [] };
  const told = (askedBy?: string) => historyLines([{ ...entry, ...(askedBy && { askedBy }) }], {}, Infinity)[1]!;
  assertMatch(told("gilly pull (alice)"), / {2}gilly pull \(alice\) {2}/);
  assertMatch(told("the keep list"), / {2}the keep list {2}/);
  assertMatch(told(), / {2}keep list or gilly pull {2}/);
});

const UTC = { TZ: "UTC" };
const SAID = [
  `gilly: ${LEDGER}: skipped 1 line that cannot be read`,
  `gilly: ${LEDGER}: 1 line of a newer Gilly may not be shown in full`,
];

Deno.test("in a pipe each entry is one line, and problems of the ledger go to standard error", async () => {
  const { code, stdout, stderr } = await runProgram(["history", "--ledger", LEDGER], UTC);
  assertEquals([code, stderr.trimEnd().split("\n")], [0, SAID]);
  assertGolden(stdout, "history/pipe.txt");
});

Deno.test("as JSON the output is one array of the entries", async () => {
  const { code, stdout } = await runProgram(["history", "--json", "--ledger", LEDGER], UTC);
  assertEquals([code, JSON.parse(stdout)], [0, JSON.parse(JSON.stringify(ENTRIES))]);
  assertGolden(stdout, "history/history.json");
  const none = await runProgram(["history", "--json", "--image", "nothing", "--ledger", LEDGER], UTC);
  assertEquals([none.code, none.stdout], [0, "[]\n"]);
});

Deno.test("at 80 columns no line is longer", async () => {
  const { program, args, ...options } = launch(UTC);
  const command = [program, ...args, "history", "--ledger", LEDGER].map((word) => `'${word}'`).join(" ");
  const { code, stdout } = await new Deno.Command("script", {
    ...options,
    args: ["--quiet", "--return", "--command", `stty cols 80 rows 24; ${command} 2>/dev/null`, "/dev/null"],
    stdin: "null",
  }).output();
  const text = new TextDecoder().decode(stdout).replaceAll("\r\n", "\n");
  assertEquals([code, text.split("\n").filter((line) => line.length > 80)], [0, []]);
  assertGolden(text, "history/80-columns.txt");
});

Deno.test("a missing ledger, or one without a match, is reported", async () => {
  const empty = await runProgram(["history", "--ledger", "/nonexistent/ledger.jsonl"]);
  assertEquals([empty.code, empty.stdout], [0, "/nonexistent/ledger.jsonl has no entries.\n"]);
  const none = await runProgram(["history", "--ledger", LEDGER, "--pod", "nobody"]);
  assertEquals([none.code, none.stdout], [0, `Nothing in ${LEDGER} matches.\n`]);
});

Deno.test("a ledger that cannot be read is an error that names it", async () => {
  const { code, stderr } = await runProgram(["history", "--ledger", new URL(".", import.meta.url).pathname]);
  assertEquals(code, 1);
  assertMatch(stderr, /^gilly: cannot read the ledger \/.*: Is a directory/);
});

Deno.test("an invalid time is a usage error", async () => {
  const { code, stderr } = await runProgram(["history", "--since", "yesterday"]);
  assertEquals(code, 2);
  assertMatch(stderr, /^gilly: --since requires a span such as 30m, 2h or 7d, .*, got "yesterday"/);
});

Deno.test("the config names the ledger, missing certificates are ignored, and a missing config is an error", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const file = `${dir}/config.yaml`;
    const kubelet = "{url: 'https://w:10250', certFile: missing.crt, keyFile: missing.key}";
    await Deno.writeTextFile(file, `kubelet: ${kubelet}\nregistries: {gcr.io: m.example}\nledger: {file: ${LEDGER}}\n`);
    const found = await runProgram(["history", "--config", file, "--pod", "myapp"]);
    assertEquals(found.code, 0);
    assertMatch(found.stdout, /gcr\.io\/sgryczan\/ansible-runner/);
    const missing = await runProgram(["history", "--config", `${dir}/other.yaml`]);
    assertEquals(missing.code, 78);
    assertMatch(missing.stderr, /other\.yaml: does not exist/);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
