import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ProxyCounter } from "../../../lib/proxy/totals.ts";
import { proxyLine, proxyState } from "../../../lib/status/proxy_state.ts";
import { readProxyState } from "../../../lib/status/read_state.ts";
import { proxyLines } from "../../../lib/status/render.ts";
import { NOW } from "../../fakes/node_facts.ts";
import { proxyStateWith } from "../../fakes/proxy_state.ts";
import { servedPull } from "../../fakes/served.ts";

Deno.test("a state has the counts by mirror, and what is wrong", () => {
  const counter = new ProxyCounter();
  counter.served(servedPull("gcr.io/a/b:1", "m.example", { bytes: 100, resumed: 2 }));
  counter.served(servedPull("gcr.io/a/c:1", "m.example", { bytes: 20 }));
  counter.notServed();
  counter.reloaded("config.yaml", "line 1: wrong");
  counter.certificateFailed(new Error("proxy.crt cannot be read"));
  const state = proxyState({
    gilly: "1.2.3",
    pid: 7,
    startedAt: 0,
    now: 1000,
    toWallTime: (at) => NOW + at,
    configFile: "config.yaml",
    listen: "127.0.0.1:12443",
    runtime: "docker",
    hosts: ["gcr.io"],
    totals: counter.totals,
    mirrors: ["m.example", "n.example"],
    cooldowns: new Map(),
  });
  assertEquals(state.totals, { served: 2, notServed: 1, bytes: 120, resumed: 2 });
  assertEquals(state.mirrors.map(({ mirror, served, bytes }) => [mirror, served, bytes]), [
    ["m.example", 2, 120],
    ["n.example", 0, 0],
  ]);
  assertEquals([state.startedAt, state.writtenAt], ["2026-11-01T01:11:53.000Z", "2026-11-01T01:11:54.000Z"]);
  assertEquals(state.trouble, {
    config: "config.yaml was refused, the old config stays in force",
    certificate: "the old certificate stays in use: proxy.crt cannot be read",
  });
  counter.reloaded("config.yaml");
  counter.certificateReplaced();
  assertEquals(counter.totals.trouble, {});
});

Deno.test("the line begins with what is wrong, and leaves out what did not happen", () => {
  assertEquals(
    proxyLine(proxyStateWith()),
    "serving gcr.io, quay.io at 127.0.0.1:12443: 12 pulls (3.4 GB) since start; 2 requests not served; " +
      "1 layer continued by another mirror",
  );
  const quiet = proxyStateWith({
    totals: { served: 0, notServed: 0, bytes: 0, resumed: 0 },
    trouble: { config: "config.yaml was refused, the old config stays in force", certificate: null },
  });
  assertEquals(
    proxyLine(quiet),
    "config.yaml was refused, the old config stays in force; " +
      "serving gcr.io, quay.io at 127.0.0.1:12443: 0 pulls (0 B) since start",
  );
});

Deno.test("status says what is led to the proxy, and which mirrors failed", () => {
  const led = proxyLines(proxyStateWith(), new Set(["gcr.io"]), NOW, Infinity).join("\n");
  assertStringIncludes(led, "; led to it: gcr.io\n");
  assertStringIncludes(led, "n.example  cooling down, 30 s left  n.example answered 503");
  assert(!led.includes("m.example"), led);
  const bypassed = proxyLines(proxyStateWith({ mirrors: [] }), new Set(), NOW, Infinity);
  assertEquals(bypassed.length, 1);
  assertStringIncludes(bypassed[0]!, "no pulls are led to it: journalctl -u gilly-redirect -n 5 says why");
});

Deno.test("a state file of another version is read as far as it is understood", () => {
  const state = proxyStateWith();
  assertEquals(readProxyState(JSON.stringify(state)), { state, problems: [] });
  const newer = { ...state, version: 2, totals: "?", mirrors: [...state.mirrors, 7], more: true };
  const read = readProxyState(JSON.stringify(newer));
  assertEquals(read.problems, [
    "a newer Gilly wrote it (1.2.3): some of it may not be shown",
    "1 of its mirrors cannot be understood and are not shown",
  ]);
  assertEquals(read.state?.totals, { served: 0, notServed: 0, bytes: 0, resumed: 0 });
  assertEquals(read.state?.mirrors, state.mirrors);
  assertEquals(readProxyState("{}").problems, ["it is JSON, but not the state of a registry proxy"]);
  assertEquals(readProxyState("{").problems, ["it is truncated, or not JSON"]);
});
