// The second half of the demo: pods that no repair can help, which the registry proxy serves in the
// first place. The program, its TLS and its requests are real; the runtime that pulls and the mirror
// are in this process.

import { ModelPod } from "../fakes/kubelet_pods.ts";
import { openProxyBench, type ProxyBench } from "../support/proxy_bench.ts";

/** Pods that the proxy serves, one sync after they were made. */
export interface ProxyScene extends AsyncDisposable {
  readonly pods: readonly ModelPod[];
}

/** Starts the proxy and lets the kubelet sync the pods once; `say` receives each line of its journal. */
export async function startProxyScene(say: (line: string) => void): Promise<ProxyScene> {
  await using parts = new AsyncDisposableStack();
  const bench = parts.use(await openProxyBench());
  bench.mirror.put("shop/search:latest");
  const { digest } = bench.mirror.put("shop/pay:4.0");
  const proxy = await bench.start(say);
  const pods = [
    new ModelPod({
      name: "search",
      namespace: "shop",
      containers: [{ name: "search", image: "gcr.io/shop/search:latest", imagePullPolicy: "Always" }],
    }),
    new ModelPod({
      name: "pay",
      namespace: "shop",
      containers: [{ name: "pay", image: `gcr.io/shop/pay@${digest}` }],
    }),
  ];
  const images = { isPresent: () => false, pullError: (image: string) => pull(image, bench) };
  for (const pod of pods) await pod.sync(images);
  await proxy.end("SIGTERM");
  const kept = parts.move();
  return { pods, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** Pulls as a runtime does: the manifest, then its layers. Returns the error, if there is one. */
async function pull(image: string, bench: ProxyBench): Promise<string | undefined> {
  const [, name = "", tag = ""] = /^gcr\.io\/([^:@]+)[:@](.+)$/.exec(image) ?? [];
  const ask = (path: string) => bench.fetch(`/v2/${name}/${path}`);
  const manifest = await ask(`manifests/${tag}`);
  const text = await manifest.text();
  if (manifest.status !== 200) return text;
  for (const { digest } of JSON.parse(text).layers) {
    const layer = await ask(`blobs/${digest}`);
    await layer.arrayBuffer();
    if (layer.status !== 200) return `${digest}: ${layer.status}`;
  }
  return undefined;
}
