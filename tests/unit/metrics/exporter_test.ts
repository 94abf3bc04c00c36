import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { MetricsExporter, type MetricsSettings } from "../../../lib/metrics/exporter.ts";
import type { Metrics } from "../../../lib/metrics/metrics.ts";
import { writeTextfile } from "../../../lib/metrics/textfile.ts";
import { makeMetrics, nodeStateWith, valueIn } from "../../fakes/metrics.ts";
import { inTemporaryFolder } from "../../support/folder.ts";
import { freePort } from "../../support/ports.ts";

/** An exporter with a stopped clock and a timer that never fires within a test, and its log. */
function scene() {
  const said: string[] = [];
  const clock = { now: 1_600_000_000_000 };
  const loaded: Metrics[] = [];
  const exporter = new MetricsExporter({
    load: () => {
      loaded.push(makeMetrics());
      return Promise.resolve(loaded.at(-1)!);
    },
    say: (level, text) => said.push(`${level}: ${text}`),
    now: () => clock.now,
    intervalMs: 3_600_000,
  });
  const follow = (settings: MetricsSettings) => exporter.follow(settings, () => Promise.resolve(new Map()));
  return { exporter, said, clock, follow, loaded };
}

const loopback = (port: number) => ({ hostname: "127.0.0.1", port });

Deno.test("without metrics in the config nothing is loaded, opened or logged", async () => {
  const it = scene();
  await it.follow({});
  it.exporter.publish(nodeStateWith());
  assertEquals([it.loaded, it.exporter.url, it.said], [[], undefined, []]);
  await it.exporter.close();
});

Deno.test("a configured port serves what the metrics record", async () => {
  const it = scene();
  const port = freePort();
  await it.follow({ listen: loopback(port) });
  assertEquals(it.said, [`info: serving metrics on http://127.0.0.1:${port}/metrics`]);
  it.exporter.publish(nodeStateWith({ podCount: 7 }));
  it.loaded[0]!.pulled(2, 300);
  it.loaded[0]!.pullFailed(1);
  it.loaded[0]!.callFailed("denied");
  const text = await (await fetch(`${it.exporter.url}/metrics`)).text();
  assertEquals(valueIn(text, "gilly_pods"), 7);
  assertEquals(valueIn(text, "gilly_pulled_bytes_total"), 300);
  assertEquals(valueIn(text, 'gilly_pull_duration_seconds_count{result="failed"}'), 1);
  assertEquals(valueIn(text, 'gilly_runtime_errors_total{kind="denied"}'), 1);
  await it.exporter.close();
  using _listener = Deno.listen(loopback(port));
});

Deno.test("health follows the progress of the loop", async () => {
  const it = scene();
  await it.follow({ listen: loopback(freePort()) });
  const asked = async () => {
    const response = await fetch(`${it.exporter.url}/healthz`);
    return [response.status, await response.text()];
  };
  it.clock.now += 59_000;
  assertEquals(await asked(), [200, "ok: the loop made progress 59 s ago\n"]);
  it.clock.now += 1000;
  assertEquals(await asked(), [503, "unhealthy: no progress for 60 s\n"]);
  it.exporter.publish(nodeStateWith());
  assertEquals(await asked(), [200, "ok: the loop made progress 0 s ago\n"]);
  it.clock.now -= 3_600_000;
  assertEquals(await asked(), [200, "ok: the loop made progress 0 s ago\n"]);
  await it.exporter.close();
});

Deno.test("a port in use is one warning, and is opened once it is free", async () => {
  const it = scene();
  const other = Deno.listen(loopback(0));
  const { port } = other.addr;
  await it.follow({ listen: loopback(port) });
  await it.exporter.show();
  await it.exporter.show();
  assertEquals(it.said.length, 1);
  assertMatch(it.said[0]!, /^warning: cannot serve metrics on http:\/\/127\.0\.0\.1:\d+: Address already in use/);
  other.close();
  await it.exporter.show();
  assertEquals([it.said[1], it.exporter.url], [
    `info: serving metrics on http://127.0.0.1:${port}/metrics`,
    `http://127.0.0.1:${port}`,
  ]);
  await it.exporter.close();
});

Deno.test("a reload moves the port, keeps the counts, and closes a port that is no longer configured", async () => {
  const it = scene();
  const [first, second] = [freePort(), freePort()];
  await it.follow({ listen: loopback(first) });
  it.loaded[0]!.callFailed("denied");
  await it.follow({ listen: loopback(first) });
  assertEquals(it.said.length, 1);
  await it.follow({ listen: loopback(second) });
  const text = await (await fetch(`http://127.0.0.1:${second}/metrics`)).text();
  assertEquals(valueIn(text, 'gilly_runtime_errors_total{kind="denied"}'), 1);
  using _free = Deno.listen(loopback(first));
  await it.follow({});
  assertEquals([it.exporter.url, it.loaded.length], [undefined, 1]);
  using _alsoFree = Deno.listen(loopback(second));
  await it.exporter.close();
});

Deno.test("the file is complete, readable by all whatever the umask, and leaves no other file next to it", async () => {
  await inTemporaryFolder(async (dir) => {
    const it = scene();
    const textfile = `${dir}/gilly.prom`;
    const umask = Deno.umask(0o077);
    try {
      await it.follow({ textfile });
      it.exporter.publish(nodeStateWith({ podCount: 9 }));
      await it.exporter.show();
    } finally {
      Deno.umask(umask);
    }
    assertEquals((await Deno.stat(textfile)).mode! & 0o777, 0o644);
    assertEquals(valueIn(await Deno.readTextFile(textfile), "gilly_pods"), 9);
    assertEquals([...Deno.readDirSync(dir)].map(({ name }) => name), ["gilly.prom"]);
    assertEquals(it.said, []);
    await it.exporter.close();
    assert((await Deno.stat(textfile)).isFile, "its age is what tells that the daemon is gone");
  });
});

Deno.test("a reader of the file sees either the old text or the new one", async () => {
  await inTemporaryFolder(async (dir) => {
    const file = `${dir}/gilly.prom`;
    const texts = ["a", "b"].map((letter) => `${letter.repeat(200_000)}\n`);
    await writeTextfile(file, texts[0]!);
    let writing = true;
    const writes = (async () => {
      for (let round = 0; round < 100; round++) await writeTextfile(file, texts[round % 2]!);
      writing = false;
    })();
    let reads = 0;
    while (writing) {
      assert(texts.includes(await Deno.readTextFile(file)));
      reads++;
    }
    await writes;
    assert(reads > 1);
  });
});

Deno.test("a file that cannot be written is one warning, and recovery is logged", async () => {
  await inTemporaryFolder(async (dir) => {
    const it = scene();
    const textfile = `${dir}/missing/gilly.prom`;
    await it.follow({ textfile });
    await it.exporter.show();
    assertEquals(it.said.length, 1, "the first try and the second are one warning");
    assertStringIncludes(it.said[0]!, `warning: cannot write the metrics to ${textfile}: No such file or directory`);
    await Deno.mkdir(`${dir}/missing`);
    await it.exporter.show();
    await it.exporter.show();
    assertEquals(it.said.slice(1), ["info: writing the metrics again"]);
    await it.exporter.close();
  });
});

Deno.test("a reload removes a file that is no longer configured", async () => {
  await inTemporaryFolder(async (dir) => {
    const it = scene();
    const names = () => [...Deno.readDirSync(dir)].map(({ name }) => name);
    await it.follow({ textfile: `${dir}/old.prom` });
    await it.follow({ textfile: `${dir}/new.prom` });
    await it.exporter.show();
    assertEquals(names(), ["new.prom"]);
    await it.follow({});
    await it.exporter.show();
    assertEquals(names(), []);
    await it.exporter.close();
  });
});

Deno.test("a package that does not load causes only a warning", async () => {
  const said: string[] = [];
  const exporter = new MetricsExporter({
    load: () => Promise.reject(new TypeError("no such package")),
    say: (level, text) => said.push(`${level}: ${text}`),
    now: () => 0,
  });
  await exporter.follow({ listen: loopback(freePort()) }, () => Promise.resolve(new Map()));
  assertEquals([said, exporter.url], [["warning: no such package; repairs continue"], undefined]);
  await exporter.close();
});

Deno.test("a symbolic link with the name of the draft is removed, and its target is left alone", async () => {
  await inTemporaryFolder(async (dir) => {
    await Deno.writeTextFile(`${dir}/victim`, "precious", { mode: 0o600 });
    await Deno.symlink(`${dir}/victim`, `${dir}/gilly.prom.${Deno.pid}`);
    await writeTextfile(`${dir}/gilly.prom`, "gilly_pods 1\n");
    assertEquals(await Deno.readTextFile(`${dir}/victim`), "precious");
    assertEquals((await Deno.stat(`${dir}/victim`)).mode! & 0o777, 0o600);
    assertEquals(await Deno.readTextFile(`${dir}/gilly.prom`), "gilly_pods 1\n");
    assert((await Deno.lstat(`${dir}/gilly.prom`)).isFile);
  });
});
