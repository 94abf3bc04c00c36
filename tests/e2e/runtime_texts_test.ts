// What real runtimes say of each failure of a pull, and what their clients take it for. The texts are
// in tests/testdata/runtime_texts.json; `GOLDEN=write` writes them anew.

import { assertEquals } from "@std/assert";
import { missingForMtls } from "../fakes/mtls_proxy.ts";
import { inTemporaryFolder } from "../support/folder.ts";
import { isRenewingGolden } from "../support/golden.ts";
import { inOwnNetwork, missingForOwnNetwork } from "../support/own_network.ts";
import { missingForCurrentEngine } from "./current_engine.ts";
import { missingPrograms } from "./engine.ts";
import { ANSWER_CASES } from "./texts/answer_cases.ts";
import { AnswerWatch, capture, type Captured } from "./texts/capture.ts";
import type { Case } from "./texts/case.ts";
import { CONTENT_CASES } from "./texts/content_cases.ts";
import { LAST_ENGINE_CASES, PLUGIN_CASES } from "./texts/engine_cases.ts";
import { type Network, startNetwork } from "./texts/network.ts";
import { LAST_NETWORK_CASES, makeCommonNameAlone, NETWORK_CASES } from "./texts/network_cases.ts";
import { RUNTIMES, type TextRuntime } from "./texts/runtimes.ts";
import { readTable, type Row, writeTable } from "./texts/table.ts";

const TOGETHER: readonly Case[] = [...NETWORK_CASES, ...ANSWER_CASES, ...CONTENT_CASES, ...PLUGIN_CASES];
/** How many cases a runtime has at a time. */
const AT_ONCE = 24;

const missing = [
  ...missingForOwnNetwork(),
  ...missingForCurrentEngine(),
  ...missingForMtls(),
  ...missingPrograms(["dockerd", "containerd", "runc", "containerd-shim-runc-v2", "ctr"]),
];

/** Captures these cases in every runtime, some at a time. */
async function captureAll(
  cases: readonly Case[],
  runtimes: readonly TextRuntime[],
  network: Network,
  watch: AnswerWatch,
): Promise<Captured[]> {
  const perRuntime = await Promise.all(runtimes.map(async (runtime) => {
    const wanted = cases.filter(({ isFor }) => isFor?.(runtime) ?? true);
    const found: Captured[][] = wanted.map(() => []);
    const queue = wanted.entries();
    const lane = async () => {
      for (const [at, one] of queue) found[at] = await capture(one, runtime, network, watch);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
    return found.flat();
  }));
  return perRuntime.flat();
}

/** Whether a version is that of a name in the table, such as `docker-28-containerd`. */
function isOfVersion(name: string, version: string): boolean {
  return version.replace(/^v/, "").startsWith(`${name.split("-")[1]}.`);
}

function isOfSameCall(one: Row, other: Row): boolean {
  return one.runtime === other.runtime && one.case === other.case && one.call === other.call;
}

inOwnNetwork(import.meta.url, missing, () => {
  Deno.test("what real runtimes say of each failure, and what it is taken for", async (t) => {
    await inTemporaryFolder(async (dir) => {
      const trusted = await makeCommonNameAlone(dir);
      await using network = await startNetwork(dir, trusted);
      await using ended = new AsyncDisposableStack();
      using watch = new AnswerWatch();
      const runtimes = await Promise.all(
        Object.entries(RUNTIMES).map(async ([name, start]) => ended.use(await start(`${dir}/${name}`))),
      );
      const versions = await Promise.all(runtimes.map(({ client }) => client.info(new AbortController().signal)));
      const captured = await captureAll(TOGETHER, runtimes, network, watch);
      for (const one of [...LAST_NETWORK_CASES, ...LAST_ENGINE_CASES]) {
        captured.push(...await captureAll([one], runtimes, network, watch));
      }
      const order = Object.keys(RUNTIMES);
      captured.sort((a, b) => order.indexOf(a.row.runtime) - order.indexOf(b.row.runtime));
      if (isRenewingGolden()) await writeTable(captured.map(({ row }) => row));
      const table = await readTable();
      const rows = captured.map(({ row, pattern }) => {
        const held = pattern?.test(row.message) ? table.find((other) => isOfSameCall(row, other)) : undefined;
        return { ...row, message: held?.message ?? row.message };
      });
      for (const [at, { name }] of runtimes.entries()) {
        const ofRuntime = (all: readonly Row[]) => all.filter((row) => row.runtime === name);
        await t.step({
          name: `the texts of ${name} are those of the table`,
          // Another version words some of them anew; their kinds are held all the same.
          ignore: !isOfVersion(name, versions[at]!.version),
          fn: () => assertEquals(ofRuntime(rows), ofRuntime(table)),
        });
      }
      await t.step("the clients take each for the right kind", () => {
        const wrong = captured.filter(({ row, given }) => row.kind !== given)
          .map(({ row, given }) =>
            `${row.runtime} ${row.call}, ${row.case}: ${given}, not ${row.kind}: ${row.message}`
          );
        assertEquals(wrong, []);
      });
    });
  });
});
