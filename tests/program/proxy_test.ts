// Tests `gilly proxy`: from its start to its end, with the permissions of the compiled binary.

import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import type { LedgerEntry } from "../../lib/record/entry.ts";
import { readStateText, watchStateFile } from "../../lib/status/state_file.ts";
import { runProgram } from "../support/program.ts";
import { openProxyBench, type ProxyBench } from "../support/proxy_bench.ts";

interface Bench extends ProxyBench {
  /** Asks the proxy in the name of gcr.io, and returns status and text. */
  ask(path: string, method?: string): Promise<readonly [number, string]>;
}

function test(name: string, run: (bench: Bench) => Promise<void>): void {
  Deno.test(name, async () => {
    await using bench = await openProxyBench();
    const ask: Bench["ask"] = async (path, method) => {
      const response = await bench.fetch(path, method);
      return [response.status, await response.text()];
    };
    await run({ ...bench, ask });
  });
}

test("a pull is served, logged and recorded, and SIGTERM ends the proxy", async ({ folder, mirror, start, ask }) => {
  const { digest, manifest, layers: [layer] } = mirror.put("team/app:1");
  const program = await start();
  assertEquals(await ask("/v2/team/app/manifests/1", "HEAD"), [200, ""]);
  assertEquals(await ask(`/v2/team/app/manifests/${digest}`), [200, manifest]);
  assertEquals(await ask(`/v2/team/app/blobs/${layer}`), [200, "layer of team/app:1"]);
  assertEquals((await program.end("SIGTERM")).code, 0);
  const lines = program.journal.map((line) => line.replace(/^\S+ \S+ /, "").replaceAll(mirror.host, "MIRROR"));
  assertEquals(lines.map((line) => line.replace(/in \d\.\d s/, "in 0.1 s")), [
    lines[0]!,
    `[PullImage]  serving image: gcr.io/team/app:1 from MIRROR/team/app@${digest}`,
    `[Proxy]  served gcr.io/team/app:1, 19 B in 0.1 s (from MIRROR, ${digest})`,
  ]);
  const entry = JSON.parse(await Deno.readTextFile(`${folder}/proxy.jsonl`));
  assertEquals([entry.result, entry.image, entry.mirror, entry.digest, entry.bytes, entry.pods], [
    "served",
    "gcr.io/team/app:1",
    mirror.host,
    digest,
    19,
    [],
  ]);
});

test("history has what was served among what was repaired", async (bench) => {
  const { folder, configFile, mirror, start, ask } = bench;
  mirror.put("team/app:1");
  const program = await start();
  await ask("/v2/team/app/manifests/1");
  await program.end("SIGTERM");
  const at = (time: number, image: string) =>
    JSON.stringify({ time: new Date(time).toISOString(), result: "repaired", image, pods: ["default/app"] });
  await Deno.writeTextFile(
    `${folder}/ledger.jsonl`,
    `${at(0, "gcr.io/before:1")}\n${at(Date.now() + 1000, "gcr.io/after:1")}\n`,
  );
  const { code, stdout } = await runProgram(["history", "--config", configFile, "--json"]);
  assertEquals(code, 0);
  assertEquals(JSON.parse(stdout).map(({ image, result }: LedgerEntry) => `${result} ${image}`), [
    "repaired gcr.io/before:1",
    "served gcr.io/team/app:1",
    "repaired gcr.io/after:1",
  ]);
});

test("a state file shows the proxy while it runs", async ({ folder, port, start }) => {
  const program = await start();
  const written = Promise.withResolvers<void>();
  const stop = new AbortController();
  void watchStateFile(`${folder}/state.json`, written.resolve, stop.signal);
  if (await readStateText(`${folder}/state.json`) === undefined) await written.promise;
  stop.abort();
  const state = JSON.parse(await Deno.readTextFile(`${folder}/state.json`));
  assertEquals([state.listen, state.hosts, state.totals.served], [`127.0.0.1:${port}`, ["gcr.io"], 0]);
  assertEquals((await program.end("SIGTERM")).code, 0);
  await assertRejects(() => Deno.stat(`${folder}/state.json`), Deno.errors.NotFound);
});

test("an image that stays missing is one warning and one entry", async ({ folder, mirror, start, ask }) => {
  const program = await start();
  for (let time = 0; time < 3; time++) assertEquals((await ask("/v2/app/manifests/1"))[0], 404);
  await program.end();
  const warnings = program.journal.filter((line) => line.includes("cannot serve"));
  assertEquals(warnings.map((line) => line.replace(/^\S+ \S+ /, "")), [
    `[Proxy]  cannot serve gcr.io/app:1: not-in-mirror: no mirror has this image: push it as ${mirror.host}/app:1 ` +
    `(${mirror.host}: answered 404, MANIFEST_UNKNOWN: manifest unknown)`,
  ]);
  const [entry, ...others] = (await Deno.readTextFile(`${folder}/proxy.jsonl`)).trim().split("\n");
  assertEquals([JSON.parse(entry!).reason, others], ["not-in-mirror", []]);
});

test("SIGHUP puts a config in force, and refuses one with a mistake", async (bench) => {
  const { configure, configFile, port, mirror, start, ask } = bench;
  mirror.put("gcr/app:1");
  const program = await start();
  assertEquals((await ask("/v2/app/manifests/1"))[0], 404);
  await configure(`{gcr.io: ${mirror.host}/gcr}`);
  program.signal("SIGHUP");
  await program.waitForLine(/\[Config\] {2}\S+ is in force/);
  assertEquals((await ask("/v2/app/manifests/1"))[0], 200);
  await configure(`{gcr.io: ${mirror.host}}`, "prox: {}");
  program.signal("SIGHUP");
  program.signal("SIGHUP");
  await program.waitForLine(/refused \S+, the old config stays in force: .*prox: unknown key; did you mean proxy\?/);
  const config = await Deno.readTextFile(configFile);
  await Deno.writeTextFile(configFile, config.replace("\nprox: {}", "").replace(`listen: ${port}`, "listen: 1"));
  program.signal("SIGHUP");
  await program.waitForLine(/refused \S+, .*: proxy: listen changed: systemctl restart gilly-proxy/);
  assertEquals(program.journal.filter((line) => line.includes("did you mean proxy?")).length, 1, "two signals at once");
  assertEquals((await ask("/v2/app/manifests/1"))[0], 200);
});

test("what was served before a restart is remembered", async ({ configure, mirror, start, ask }) => {
  const before = mirror.put("app:1");
  await configure(`{gcr.io: ${mirror.host}}`, "repair: {onDigestChange: refuse}");
  const first = await start();
  assertEquals((await ask("/v2/app/manifests/1"))[0], 200);
  await first.end();
  mirror.put("app:1", [new TextEncoder().encode("another")]);
  await start();
  const [status, text] = await ask("/v2/app/manifests/1");
  assertEquals(status, 404);
  assertMatch(text, new RegExp(`gilly: refused: gcr\\.io/app:1 was ${before.digest} `));
});

test("a port that is taken, or a certificate that is missing, ends the start with what to do", async (bench) => {
  const { folder, port, configFile } = bench;
  {
    using _taken = Deno.listen({ hostname: "127.0.0.1", port });
    const { code, stderr } = await runProgram(["proxy", "--config", configFile]);
    assertEquals([code, stderr], [
      1,
      `gilly: cannot listen on 127.0.0.1:${port}: another program has that port, run 'ss -tlnp' as root to see which\n`,
    ]);
  }
  await Deno.remove(`${folder}/proxy.key`);
  const { code, stderr } = await runProgram(["proxy", "--config", configFile]);
  assertEquals(code, 1);
  assertMatch(stderr, /^gilly: cannot read \S+\/proxy\.key: .*; gilly-redirect prepare makes it\n$/);
});

test("a config with a mistake ends the start with 78", async ({ configure, configFile }) => {
  await configure("{gcr.io: m.example}", "repare: {}");
  const { code, stderr } = await runProgram(["proxy", "--config", configFile]);
  assertEquals(code, 78);
  assertMatch(stderr, /config\.yaml:5: repare: unknown key; did you mean repair\?/);
});
