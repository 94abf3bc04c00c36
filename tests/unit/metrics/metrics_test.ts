import { assertEquals } from "@std/assert";
import type { Candidate } from "../../../lib/images/rules.ts";
import { KubeletError } from "../../../lib/kubelet/errors.ts";
import { certificateExpiries } from "../../../lib/metrics/certificates.ts";
import { failedOutcome, type Outcome } from "../../../lib/plan/outcome.ts";
import type { MirrorState } from "../../../lib/status/mirror_states.ts";
import type { ContainerState } from "../../../lib/status/node_state.ts";
import { makeAuthority } from "../../fakes/certificates.ts";
import { makeMetrics, nodeStateWith, seriesIn, valueIn } from "../../fakes/metrics.ts";
import { proxyStateWith } from "../../fakes/proxy_state.ts";
import { repairOf } from "../../fakes/repairs.ts";

function container(state: ContainerState["state"], reason: string | null, name = "app"): ContainerState {
  const where = { namespace: "default", pod: name, container: name, image: `gcr.io/a/${name}:1` };
  return {
    ...where,
    waitingReason: "ErrImagePull",
    state,
    reason,
    advice: null,
    message: null,
    nextTryAt: null,
    mirror: null,
  };
}

function mirror(name: string, state: MirrorState["state"]): MirrorState {
  return { mirror: name, state, coolingDownUntil: null, because: null };
}

const CANDIDATE: Candidate = {
  mirror: "m.example",
  location: "m.example",
  repository: "m.example/a/b",
  reference: "m.example/a/b:1",
};

Deno.test("known series start at zero, so that their first increase is seen", async () => {
  const text = await makeMetrics().render();
  for (
    const series of [
      'gilly_repairs_total{result="repaired",reason=""}',
      'gilly_repairs_total{result="failed",reason="denied"}',
      'gilly_failing_containers{state="unrepairable",reason="policy-always"}',
      'gilly_kubelet_errors_total{kind="forbidden"}',
      'gilly_runtime_errors_total{kind="unreachable"}',
      'gilly_pass_duration_seconds_count{result="failed"}',
      'gilly_pull_duration_seconds_count{result="delivered"}',
      "gilly_pulled_bytes_total",
      "gilly_ledger_errors_total",
      "gilly_last_good_pass_timestamp_seconds",
    ]
  ) assertEquals(valueIn(text, series), 0, series);
  assertEquals(valueIn(text, 'gilly_build_info{version="1.2.3",deno="2.0.0"}'), 1);
  assertEquals(valueIn(text, "gilly_start_time_seconds"), 1_600_000_000);
  assertEquals(valueIn(text, "gilly_resident_memory_bytes"), 5e7);
});

Deno.test("a node state is shown container by container, each counted once", async () => {
  const metrics = makeMetrics();
  metrics.publish(nodeStateWith({
    images: { repairing: 2, waiting: 1, unrepairable: 3 },
    containers: [
      container("repairing", null),
      container("waiting", "registry-down"),
      container("waiting", "stalled"),
      container("repaired", null),
      container("unrepairable", "no-rule"),
      container("unrepairable", "no-rule"),
      container("unrepairable", "denied"),
    ],
  }));
  const text = await metrics.render();
  const count = (state: string, reason = "") =>
    valueIn(text, `gilly_failing_containers{state="${state}",reason="${reason}"}`);
  assertEquals([count("repairing"), count("waiting"), count("repaired")], [1, 2, 1]);
  assertEquals([count("unrepairable", "no-rule"), count("unrepairable", "denied")], [2, 1]);
  assertEquals([valueIn(text, "gilly_pods"), valueIn(text, "gilly_repairs_under_way")], [12, 2]);
  assertEquals(valueIn(text, "gilly_last_good_pass_timestamp_seconds"), 1_600_000_000);
  metrics.publish(nodeStateWith());
  assertEquals(valueIn(await metrics.render(), 'gilly_failing_containers{state="waiting",reason=""}'), 0);
});

Deno.test("before the first good pass no pods are reported, and a refused config shows", async () => {
  const metrics = makeMetrics();
  metrics.publish(
    nodeStateWith({
      lastGoodPassAt: null,
      podCount: null,
      trouble: { pass: "no answer", config: "refused", engine: null },
    }),
  );
  const text = await metrics.render();
  assertEquals(valueIn(text, "gilly_last_good_pass_timestamp_seconds"), 0);
  assertEquals(valueIn(text, "gilly_config_last_reload_successful"), 0);
  metrics.publish(nodeStateWith());
  assertEquals(valueIn(await metrics.render(), "gilly_config_last_reload_successful"), 1);
});

Deno.test("a mirror is up, down, or down and cooling down; one that leaves the config is forgotten", async () => {
  const metrics = makeMetrics();
  metrics.publish(
    nodeStateWith({ mirrors: [mirror("a:5000", "up"), mirror("b", "cooling-down"), mirror("c", "failed")] }),
  );
  for (const mirror of ["b", "stranger"]) {
    metrics.candidateFailed(repairOf("gcr.io/a/b:1"), {
      candidate: { ...CANDIDATE, mirror },
      failure: "registry-down",
      message: "",
    });
  }
  const text = await metrics.render();
  const shown = (name: string) =>
    ["up", "cooling_down"].map((what) => valueIn(text, `gilly_mirror_${what}{mirror="${name}"}`));
  assertEquals([shown("a:5000"), shown("b"), shown("c")], [[1, 0], [0, 1], [0, 0]]);
  assertEquals(valueIn(text, 'gilly_mirror_pulls_total{mirror="a:5000",result="delivered"}'), 0);
  assertEquals(valueIn(text, 'gilly_mirror_pulls_total{mirror="b",result="registry-down"}'), 1);
  metrics.publish(nodeStateWith({ mirrors: [mirror("a:5000", "up")] }));
  const left = seriesIn(await metrics.render()).filter((series) => series.includes('mirror="'));
  assertEquals(left.filter((series) => !series.includes('mirror="a:5000"')), []);
  assertEquals(left.length, 3);
});

Deno.test("a path that fails has its own series, but for pulls, until it delivers", async () => {
  const metrics = makeMetrics();
  const mirrors = [mirror("m.example", "up"), mirror("m.example/quay", "cooling-down")];
  metrics.publish(nodeStateWith({ mirrors }));
  const text = await metrics.render();
  assertEquals(valueIn(text, 'gilly_mirror_up{mirror="m.example"}'), 1);
  assertEquals(seriesIn(text).filter((series) => series.includes("m.example/quay")), [
    'gilly_mirror_up{mirror="m.example/quay"}',
    'gilly_mirror_cooling_down{mirror="m.example/quay"}',
  ]);
  metrics.publish(nodeStateWith({ mirrors: mirrors.slice(0, 1) }));
  assertEquals(seriesIn(await metrics.render()).filter((series) => series.includes("m.example/quay")), []);
});

Deno.test("the number of series depends only on the mirrors of the config", async () => {
  const metrics = makeMetrics();
  const mirrors = [mirror("m.example", "up")];
  const live = (number: number) => {
    const name = `gcr.io/a/image-${number}:1`;
    const containers = [
      container("waiting", "failed", `pod-${number}`),
      container("unrepairable", "denied", `pod-${number}`),
    ];
    metrics.publish(nodeStateWith({ mirrors, containers }));
    const attempt = {
      candidate: { ...CANDIDATE, mirror: `host-${number}` },
      failure: "denied" as const,
      message: name,
    };
    metrics.candidateFailed(repairOf(name), attempt);
    metrics.candidateFailed(repairOf(name), { ...attempt, candidate: CANDIDATE });
    metrics.finished({ repair: repairOf(name), outcome: failedOutcome([attempt]), seconds: number });
    metrics.pulled(number, number);
  };
  live(1);
  const before = seriesIn(await metrics.render());
  for (let number = 2; number < 200; number++) live(number);
  const text = await metrics.render();
  assertEquals(seriesIn(text), before);
  assertEquals(/image-|pod-|host-/.test(text), false);
});

Deno.test("events of repairs, mirrors, the kubelet and the ledger are counted", async () => {
  const metrics = makeMetrics();
  metrics.publish(nodeStateWith({ mirrors: [mirror("m.example", "up")] }));
  const repair = repairOf("gcr.io/a/b:1");
  const repaired: Outcome = {
    ...{ result: "repaired", candidate: CANDIDATE, tagged: "gcr.io/a/b:1", id: "sha256:1" },
    ...{ digest: undefined, bytes: 5, attempts: [] },
  };
  const attempt = { candidate: CANDIDATE, failure: "not-found" as const, message: "no" };
  const end = (outcome: Outcome) => metrics.finished({ repair, outcome, seconds: 1, nextTrySeconds: 20 });
  metrics.candidateFailed(repair, attempt);
  metrics.candidateFailed(repair, { ...attempt, failure: "cooling-down" });
  metrics.tagged(repair, CANDIDATE);
  end(repaired);
  end({ result: "already-present", id: "sha256:1" });
  end(failedOutcome([attempt]));
  end(failedOutcome([{ ...attempt, failure: "stalled" }]));
  metrics.kubeletFailed(new KubeletError("forbidden", "no"));
  metrics.ledgerFailed();
  metrics.passed(true, 0.2);
  metrics.passed(false, 20);
  const text = await metrics.render();
  assertEquals(
    [
      'gilly_repairs_total{result="repaired",reason=""}',
      'gilly_repairs_total{result="already-present",reason=""}',
      'gilly_repairs_total{result="failed",reason="not-in-mirror"}',
      'gilly_repairs_total{result="failed",reason=""}',
      'gilly_mirror_pulls_total{mirror="m.example",result="not-found"}',
      'gilly_mirror_pulls_total{mirror="m.example",result="delivered"}',
      'gilly_kubelet_errors_total{kind="forbidden"}',
      "gilly_ledger_errors_total",
      'gilly_pass_duration_seconds_count{result="good"}',
      'gilly_pass_duration_seconds_bucket{le="0.25",result="good"}',
      'gilly_pass_duration_seconds_count{result="failed"}',
    ].map((series) => valueIn(text, series)),
    Array(11).fill(1),
  );
  assertEquals(valueIn(text, 'gilly_pass_duration_seconds_sum{result="failed"}'), 20);
});

Deno.test("the registry proxy is absent, down with what is led to it, or up with its counts", async () => {
  const metrics = makeMetrics();
  const proxySeries = async () =>
    (await metrics.render()).split("\n").filter((line) => line.startsWith("gilly_proxy_"));
  assertEquals(await proxySeries(), []);
  const redirected = new Map([["gcr.io", true], ["quay.io", false]]);
  metrics.watchProxy(() => Promise.resolve({ state: undefined, redirected }));
  const led = ['gilly_proxy_redirected{registry="gcr.io"} 1', 'gilly_proxy_redirected{registry="quay.io"} 0'];
  assertEquals(await proxySeries(), ["gilly_proxy_up 0", ...led]);
  metrics.watchProxy(() => Promise.resolve({ state: proxyStateWith(), redirected }));
  const up = [
    "gilly_proxy_up 1",
    ...led,
    'gilly_proxy_pulls_total{mirror="m.example"} 12',
    'gilly_proxy_pulls_total{mirror="n.example"} 0',
    'gilly_proxy_served_bytes_total{mirror="m.example"} 3400000000',
    'gilly_proxy_served_bytes_total{mirror="n.example"} 0',
    "gilly_proxy_not_served_total 2",
    "gilly_proxy_resumed_total 1",
  ];
  assertEquals(await proxySeries(), up);
  assertEquals(await proxySeries(), up, "counts are those of the proxy, not of the scrapes");
  metrics.watchProxy(() => Promise.resolve(undefined));
  assertEquals(await proxySeries(), []);
});

Deno.test("certificates show their expiry, also after renewal; unreadable ones show none", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const authority = makeAuthority("ca");
    const until = (notAfter: string) =>
      authority.issueClient({ commonName: "gilly", notAfter: new Date(notAfter) }).certificatePem;
    const files = { certFile: `${dir}/client.crt`, caFile: `${dir}/ca.crt` };
    const early = until("2030-01-01T00:00:00Z");
    const late = until("2031-01-01T00:00:00Z");
    await Deno.writeTextFile(files.certFile, late + early);
    await Deno.writeTextFile(files.caFile, early + late);
    const metrics = makeMetrics();
    metrics.watchCertificates(() => certificateExpiries(files));
    const shown = async (name: string) =>
      valueIn(await metrics.render(), `gilly_certificate_expiry_timestamp_seconds{certificate="${name}"}`);
    assertEquals(await shown("kubelet-client"), Date.parse("2030-01-01T00:00:00Z") / 1000);
    assertEquals(await shown("kubelet-ca"), Date.parse("2031-01-01T00:00:00Z") / 1000);
    await Deno.writeTextFile(files.certFile, until("2035-01-01T00:00:00Z"));
    assertEquals(await shown("kubelet-client"), Date.parse("2035-01-01T00:00:00Z") / 1000);
    await Deno.writeTextFile(files.caFile, "nonsense");
    await Deno.remove(files.certFile);
    assertEquals([await shown("kubelet-client"), await shown("kubelet-ca")], [undefined, undefined]);
    assertEquals(await certificateExpiries({}), new Map());
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
