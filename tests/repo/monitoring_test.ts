// Checks docs/monitoring against the existing metrics, with Prometheus's promtool where it is
// installed.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import * as library from "prom-client";
import { makeInstruments } from "../../lib/metrics/instruments.ts";
import { PROJECT } from "../../tools/deno.ts";
import { makeMetrics, nodeStateWith, seriesIn } from "../fakes/metrics.ts";
import { notOnPath } from "../support/programs.ts";
import { testIfPossible } from "../support/requirements.ts";

const read = (file: string) => Deno.readTextFileSync(PROJECT + file);
const ALERTS = "docs/monitoring/alerts.yaml";
const DASHBOARD = "docs/monitoring/dashboard.json";

const { registry: _registry, ...instruments } = makeInstruments(library);
const MEASURED = await Promise.all(
  Object.values(instruments).map(async (instrument) => ({ ...await instrument.get() })),
);

interface Panel {
  readonly id: number;
  readonly title: string;
  readonly description: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets: readonly { readonly expr: string }[];
}

const PANELS = (JSON.parse(read(DASHBOARD)) as { panels: readonly Panel[] }).panels;
/** The dashboard's queries, with Grafana's variables filled in. */
const QUERIES = PANELS.flatMap(({ targets }) => targets).map(({ expr }) =>
  expr.replace(/\$__(rate_interval|range)\b/g, "5m").replace(/\$\w+/g, ".*")
);

async function promtool(args: readonly string[], input = ""): Promise<{ code: number; said: string }> {
  const child = new Deno.Command("promtool", {
    args: [...args],
    cwd: PROJECT,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  // promtool may exit without reading its input.
  await writer.write(new TextEncoder().encode(input)).catch(() => {});
  await writer.close().catch(() => {});
  const { code, stdout, stderr } = await child.output();
  return { code, said: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

function missingForPromtool(): string[] {
  return notOnPath(["promtool"]).map((program) => `${program} (Debian's package prometheus)`);
}

const MISSING = missingForPromtool();

testIfPossible("promtool finds nothing wrong with the metrics", MISSING, async () => {
  const metrics = makeMetrics();
  metrics.publish(nodeStateWith({
    mirrors: [{ mirror: 'odd"\\\nhost:5000', state: "up", coolingDownUntil: null, because: null }],
  }));
  metrics.watchCertificates(() => Promise.resolve(new Map([["kubelet-client", 1.7e9]])));
  metrics.passed(true, 0.1);
  metrics.pulled(3, 1e6);
  const text = await metrics.render();
  assertEquals(await promtool(["check", "metrics"], text), { code: 0, said: "" });
  const { code } = await promtool(
    ["check", "metrics"],
    text.replaceAll("gilly_pulled_bytes_total", "gilly_pulledBytes"),
  );
  assert(code !== 0, "promtool would find something");
});

testIfPossible("promtool accepts the alerts, and each alert fires exactly when it should", MISSING, async () => {
  const checked = await promtool(["check", "rules", "--lint-fatal", ALERTS]);
  assertEquals(checked.code, 0, checked.said);
  const tested = await promtool(["test", "rules", "tests/testdata/alerts_test.yaml"]);
  assertEquals(tested.code, 0, tested.said);
});

Deno.test("every alert fires in one test and stays quiet in another", () => {
  const alerts = [...read(ALERTS).matchAll(/- alert: (\w+)/g)].map(([, name]) => name!);
  const tries = read("tests/testdata/alerts_test.yaml");
  assert(alerts.length >= 12);
  for (const name of alerts) {
    assert(new RegExp(`alertname: ${name}\\n +exp_alerts:`).test(tries), `${name} never fires`);
    assert(new RegExp(`alertname: ${name}\\}`).test(tries), `${name} is never quiet`);
  }
});

testIfPossible("promtool accepts every query of the dashboard", MISSING, async () => {
  const file = await Deno.makeTempFile({ suffix: ".yaml" });
  try {
    const rules = QUERIES.map((expr, index) => ({ record: `gilly:query_${index}`, expr }));
    await Deno.writeTextFile(file, JSON.stringify({ groups: [{ name: "dashboard", rules }] }));
    const { code, said } = await promtool(["check", "rules", file]);
    assertEquals(code, 0, said);
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("alerts and dashboard use only existing metrics and labels", () => {
  const names = new Set(
    MEASURED.flatMap(({ name, type }) =>
      String(type) === "histogram" ? ["_bucket", "_sum", "_count"].map((suffix) => name + suffix) : [name]
    ),
  );
  // "name" is that of node_exporter's units.
  const labels = new Set(["job", "instance", "le", "name", ...Object.values(instruments).flatMap(labelsOf)]);
  const exprs = [
    ...[...read(ALERTS).matchAll(/expr: (?:>-\n)?((?:.|\n)*?)\n +(?:for|labels):/g)].map(([, it]) => it!),
    ...QUERIES,
  ];
  assert(exprs.length >= 12 + PANELS.length);
  for (const expr of exprs) {
    for (const [name] of expr.matchAll(/\bgilly_\w+/g)) assert(names.has(name), `${name} in ${expr}`);
    for (const [, label] of expr.matchAll(/(\w+)(?:=~|!=|=)"/g)) assert(labels.has(label!), `${label} in ${expr}`);
  }
  const shown = QUERIES.join("\n");
  const unseen = MEASURED.map(({ name }) => name).filter((name) => !shown.includes(name));
  assertEquals(unseen, [], "the dashboard leaves nothing out");
});

Deno.test("labels have few values and never hold images, pods or namespaces", async () => {
  const names = new Set(Object.values(instruments).flatMap(labelsOf));
  assertEquals([...names].toSorted(), [
    "certificate",
    "deno",
    "kind",
    "mirror",
    "reason",
    "registry",
    "result",
    "state",
    "version",
  ]);
  const series = seriesIn(await makeMetrics().render());
  assert(series.length < 120, `${series.length} series on a node that has done nothing yet`);
});

Deno.test("each panel of the dashboard has an id, a title and a description, and panels do not overlap", () => {
  assertEquals(new Set(PANELS.map(({ id }) => id)).size, PANELS.length);
  const cells = new Set<string>();
  for (const { title, description, gridPos: { x, y, w, h } } of PANELS) {
    assert(title !== "" && description.endsWith("."), title);
    assert(x + w <= 24, title);
    for (let column = x; column < x + w; column++) {
      for (let row = y; row < y + h; row++) {
        assert(!cells.has(`${column},${row}`), `${title} covers another panel`);
        cells.add(`${column},${row}`);
      }
    }
  }
});

Deno.test("the page lists exactly the metrics, with their labels and meanings", () => {
  const rows = [...read("docs/monitoring.md").matchAll(/^\| `(gilly_\w+)` +\| (.*?) +\| (.*?) +\|$/gm)]
    .map(([, name, labels, help]) => [name, labels!.replaceAll("`", "").trim(), help]);
  const measured = Object.values(instruments).map((instrument, index) => [
    MEASURED[index]!.name,
    labelsOf(instrument).join(", "),
    MEASURED[index]!.help,
  ]);
  assertEquals(rows, measured);
  for (const file of ["monitoring/alerts.yaml", "monitoring/dashboard.json"]) {
    assertStringIncludes(read("docs/monitoring.md"), `](${file})`);
  }
});

function labelsOf(instrument: unknown): string[] {
  return (instrument as { labelNames: string[] }).labelNames.filter((label) => label !== "le");
}
