// Tests the compiled daemon with metrics: the package is in the binary, needs no further
// permission, and runs in a V8 without JIT.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { Gilly } from "../e2e/gilly.ts";
import { fakeImage } from "../fakes/docker_engine.ts";
import { valueIn } from "../fakes/metrics.ts";
import { missingForMtls } from "../fakes/mtls_proxy.ts";
import { startNode } from "../fakes/node.ts";
import { freePort } from "../support/ports.ts";
import { missingForProgram, testIfPossible } from "../support/requirements.ts";

const MISSING = [...missingForProgram(), ...missingForMtls()];

/** A worker with one pod that the mirror can repair, and `metrics` in its config. */
function worker(metrics: string) {
  return startNode({
    client: {},
    pods: [{ name: "web", containers: [{ name: "app", image: "gcr.io/a/b:1" }] }],
    engine: { registries: { "mirror.example": { state: "up", images: { "a/b:1": fakeImage("b") } } } },
    config: `registries: {gcr.io: mirror.example}\npoll: {interval: 1s}\nmetrics: ${metrics}\n`,
  });
}

testIfPossible("the daemon serves its metrics and reports that it is healthy", MISSING, async () => {
  await using node = await worker(`{listen: ${freePort()}}`);
  const gilly = new Gilly(["run", "--config", node.configFile], { logFile: `${node.dir}/log` });
  try {
    const line = await gilly.waitForLine(/serving metrics on/);
    const url = /http:\/\/127\.0\.0\.1:\d+/.exec(line)![0];
    await gilly.waitForLine(/\[Repair\] {2}repaired gcr\.io\/a\/b:1/);
    const response = await fetch(`${url}/metrics`);
    const text = await response.text();
    assertEquals(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assertEquals(valueIn(text, 'gilly_repairs_total{result="repaired",reason=""}'), 1);
    assertEquals(valueIn(text, 'gilly_mirror_pulls_total{mirror="mirror.example",result="delivered"}'), 1);
    assertEquals(valueIn(text, 'gilly_pull_duration_seconds_count{result="delivered"}'), 1);
    assertStringIncludes(text, 'gilly_certificate_expiry_timestamp_seconds{certificate="kubelet-client"}');
    const health = await fetch(`${url}/healthz`);
    assertEquals([health.status, (await health.text()).slice(0, 3)], [200, "ok:"]);
  } finally {
    assertEquals((await gilly.end()).code, 0);
  }
});

testIfPossible("a port in use is one warning, and the daemon still repairs and writes its file", MISSING, async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using node = await worker(`{listen: ${taken.addr.port}, textfile: gilly.prom}`);
  const gilly = new Gilly(["run", "--config", node.configFile], { logFile: `${node.dir}/log` });
  try {
    await gilly.waitForLine(/\[Repair\] {2}repaired gcr\.io\/a\/b:1/);
  } finally {
    assertEquals((await gilly.end()).code, 0);
  }
  const warnings = gilly.journal.filter((line) => line.includes("[Metrics]"));
  assertEquals(warnings.length, 1);
  assertStringIncludes(
    warnings[0]!,
    `cannot serve metrics on http://127.0.0.1:${taken.addr.port}: Address already in use`,
  );
  assertStringIncludes(await Deno.readTextFile(`${node.dir}/gilly.prom`), "gilly_build_info{");
});
