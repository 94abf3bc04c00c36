// Tests the state file: complete files, no errors thrown into the daemon, and nothing left behind.

import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { newsIn, type NodeState, nodeState } from "../../../lib/status/node_state.ts";
import { isAlive, readStateText, StateFile, stateFileIn, watchStateFile } from "../../../lib/status/state_file.ts";
import { nodeFacts, NOW } from "../../fakes/node_facts.ts";

function stateAt(now: number, more: Partial<NodeState> = {}): NodeState {
  return { ...nodeState(nodeFacts({ now, pid: Deno.pid })), ...more };
}

/** A folder, the path of the state file in it, the file, and the failures reported. */
async function withFile(
  test: (scene: { dir: string; path: string; file: StateFile<NodeState>; failures: unknown[] }) => Promise<void>,
) {
  const dir = await Deno.makeTempDir();
  const failures: unknown[] = [];
  const path = stateFileIn(dir);
  try {
    await test({ dir, path, file: new StateFile(path, (error) => failures.push(error), newsIn), failures });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Resolves with the state in the file once `condition` holds for it. */
async function stateThat(path: string, condition: (state: NodeState) => boolean): Promise<NodeState> {
  const found = Promise.withResolvers<NodeState>();
  const stop = new AbortController();
  const look = async () => {
    const text = await readStateText(path);
    if (text !== undefined && condition(JSON.parse(text))) found.resolve(JSON.parse(text));
  };
  const watching = watchStateFile(path, () => void look().catch(found.reject), stop.signal);
  await look();
  const state = await found.promise;
  stop.abort();
  await watching;
  return state;
}

Deno.test("the file is in the first runtime directory, or where systemd would create it", () => {
  assertEquals(stateFileIn("/run/a"), "/run/a/state.json");
  assertEquals(stateFileIn("/run/a:/run/b"), "/run/a/state.json");
  assertEquals([stateFileIn(undefined), stateFileIn("")], ["/run/gilly/state.json", "/run/gilly/state.json"]);
});

Deno.test("a state is written completely, readable by all whatever the umask, and leaves no other file", async () => {
  await withFile(async ({ dir, path, file, failures }) => {
    const before = Deno.umask(0o077);
    try {
      file.publish(stateAt(NOW));
      assertEquals(await stateThat(path, () => true), stateAt(NOW));
    } finally {
      Deno.umask(before);
    }
    assertEquals(((await Deno.stat(path)).mode ?? 0) & 0o777, 0o644);
    assertEquals([...Deno.readDirSync(dir)].map(({ name }) => name), ["state.json"]);
    await file.close();
    assertEquals(failures, []);
  });
});

Deno.test("a state in which only times changed is written after ten seconds, and any other change at once", async () => {
  await withFile(async ({ path, file }) => {
    const written: string[] = [];
    const publish = async (state: NodeState) => {
      file.publish(state);
      // The last of several states is written before any state published after that.
      await Promise.resolve();
    };
    await publish(stateAt(NOW));
    written.push((await stateThat(path, () => true)).writtenAt);
    await publish(stateAt(NOW + 5000, { lastGoodPassAt: new Date(NOW + 5000).toISOString() }));
    await publish(stateAt(NOW + 6000, { totals: { repaired: 42, failed: 5 } }));
    written.push((await stateThat(path, ({ totals }) => totals.repaired === 42)).writtenAt);
    await publish(stateAt(NOW + 9000, { totals: { repaired: 42, failed: 5 } }));
    await publish(stateAt(NOW + 16_000, { totals: { repaired: 42, failed: 5 } }));
    written.push((await stateThat(path, ({ writtenAt }) => Date.parse(writtenAt) > NOW + 6000)).writtenAt);
    assertEquals(written.map((time) => Date.parse(time) - NOW), [0, 6000, 16_000]);
    await file.close();
  });
});

Deno.test("a clean stop removes the file, and states published later are not written", async () => {
  await withFile(async ({ dir, path, file }) => {
    file.publish(stateAt(NOW));
    await stateThat(path, () => true);
    await file.close();
    file.publish(stateAt(NOW + 60_000));
    await file.close();
    assertEquals([...Deno.readDirSync(dir)], []);
  });
});

Deno.test("the file of another daemon is left where it is", async () => {
  await withFile(async ({ path, file }) => {
    file.publish(stateAt(NOW));
    await stateThat(path, () => true);
    await Deno.writeTextFile(path, JSON.stringify({ version: 1, pid: 1 }));
    await file.close();
    assertEquals(JSON.parse(await Deno.readTextFile(path)).pid, 1);
  });
});

Deno.test("a missing folder is reported once, and used as soon as it exists", async () => {
  const dir = await Deno.makeTempDir();
  const failed = Promise.withResolvers<unknown>();
  let failures = 0;
  const file = new StateFile(`${dir}/run/state.json`, (error) => {
    failures++;
    failed.resolve(error);
  });
  file.publish(stateAt(NOW));
  assertInstanceOf(await failed.promise, Deno.errors.NotFound);
  file.publish(stateAt(NOW + 1000));
  await Deno.mkdir(`${dir}/run`);
  file.publish(stateAt(NOW + 2000));
  await stateThat(`${dir}/run/state.json`, () => true);
  await file.close();
  assert(failures === 1, `${failures} failures were told`);
  await Deno.remove(dir, { recursive: true });
});

Deno.test("a missing file has no text", async () => {
  assertEquals(await readStateText("/nonexistent/state.json"), undefined);
  assertEquals(await readStateText("/dev/null/state.json"), undefined);
});

Deno.test("a process is alive until it has ended", async () => {
  const child = new Deno.Command("sleep", { args: ["60"] }).spawn();
  assertEquals(await isAlive(child.pid), true);
  child.kill("SIGKILL");
  await child.status;
  assertEquals(await isAlive(child.pid), false);
});

Deno.test("watching ends if the folder is missing or removed", async () => {
  await watchStateFile("/nonexistent/state.json", () => {}, new AbortController().signal);
  const dir = await Deno.makeTempDir();
  const changed = Promise.withResolvers<void>();
  const watching = watchStateFile(`${dir}/state.json`, () => changed.resolve(), new AbortController().signal);
  await Deno.writeTextFile(`${dir}/state.json`, "{}");
  await changed.promise;
  await Deno.remove(dir, { recursive: true });
  await watching;
});
