// Runs one probe of a big answer in a process of its own and prints the cost as JSON.
//   big_answer_probe.ts parse FILE | pass FILE | request-and-pass URL CA-FILE

import { openNode, openProcess } from "../../lib/app.ts";
import { parseConfig } from "../../lib/config/config.ts";
import { KubeletClient } from "../../lib/kubelet/client.ts";
import { type PodList, readPodList } from "../../lib/kubelet/pods.ts";
import { survey } from "../../lib/pass.ts";
import type { Probed, ProbeKind } from "./big_answer.ts";
import { memoryOf } from "./process.ts";

const CONFIG = `
kubelet: {url: "https://localhost:10250", tokenFile: /token}
registries: {gcr.io: mirror.example}
`;
const SMALL_ANSWER = '{"kind":"PodList","items":[]}';

async function main([kind, place, caFile]: readonly string[]): Promise<void> {
  const look = looks(kind as ProbeKind, place!, caFile);
  const measured = await look.prepare();
  // The bytes are in memory before the measurement starts and do not count as growth.
  const before = await memoryOf(Deno.pid);
  const start = performance.now();
  await measured();
  const milliseconds = performance.now() - start;
  const { peak } = await memoryOf(Deno.pid);
  console.log(JSON.stringify({ milliseconds, growth: peak - before.rss } satisfies Probed));
  look.close();
}

/** Runs a pass over a small answer first, so that loading the code is not measured. */
function looks(kind: ProbeKind, place: string, caFile: string | undefined) {
  const client = caFile === undefined ? undefined : new KubeletClient({ url: place, caFile });
  const parse = (bytes: Uint8Array) => JSON.parse(new TextDecoder().decode(bytes)) as unknown;
  return {
    async prepare(): Promise<() => unknown> {
      const small = new TextEncoder().encode(SMALL_ANSWER);
      await passOver(() => Promise.resolve(readPodList(parse(small))));
      if (kind === "request-and-pass") return () => passOver((signal) => client!.pods(signal));
      const bytes = await Deno.readFile(place);
      if (kind === "parse") return () => parse(bytes);
      return () => passOver(() => Promise.resolve(readPodList(parse(bytes))));
    },
    close: () => client?.close(),
  };
}

async function passOver(pods: (signal: AbortSignal) => Promise<PodList>): Promise<void> {
  const { signal } = new AbortController();
  const config = parseConfig(CONFIG, "/config.yaml");
  const process = openProcess(config, { signal });
  const node = await openNode(config, process, { ledger: false });
  const { plan } = await survey({ ...node, kubelet: { host: "the kubelet", pods } }, process, signal);
  node.close();
  if (plan.repairs.length > 0) throw new Error("a steady node needs no repair");
}

await main(Deno.args);
