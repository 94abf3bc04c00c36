// The second half of the demo: pods that no repair can help, which the registry proxy serves in the
// first place. The program, its TLS and its requests are real; the runtime that pulls and the mirror
// are in this process.

import { makeAuthority } from "../fakes/certificates.ts";
import { ModelPod } from "../fakes/kubelet_pods.ts";
import { startMirror } from "../fakes/mirror.ts";
import { freePort } from "../support/ports.ts";
import { startProgram } from "../support/program.ts";

/** Pods that the proxy serves, one sync after they were made. */
export interface ProxyScene extends AsyncDisposable {
  readonly pods: readonly ModelPod[];
}

/** Starts the proxy and lets the kubelet sync the pods once; `say` receives each line of its journal. */
export async function startProxyScene(say: (line: string) => void): Promise<ProxyScene> {
  await using parts = new AsyncDisposableStack();
  const dir = await Deno.makeTempDir({ prefix: "gilly-demo-" });
  parts.defer(() => Deno.remove(dir, { recursive: true }));
  const mirror = startMirror();
  parts.defer(() => mirror.stop());
  mirror.put("shop/search:latest");
  const { digest } = mirror.put("shop/pay:4.0");
  const authority = makeAuthority("demo");
  const { certificatePem, keyPem } = authority.issueServer({ dnsNames: ["gcr.io", "localhost"] });
  await Deno.writeTextFile(`${dir}/proxy.crt`, certificatePem);
  await Deno.writeTextFile(`${dir}/proxy.key`, keyPem);
  const port = freePort();
  await Deno.writeTextFile(
    `${dir}/config.yaml`,
    `kubelet: {url: "http://127.0.0.1:10255"}
registries: {gcr.io: "${mirror.host}"}
proxy: {listen: ${port}, certFile: proxy.crt, keyFile: proxy.key, ledgerFile: proxy.jsonl}
`,
  );
  const proxy = parts.use(startProgram(["proxy", "--config", `${dir}/config.yaml`], { RUNTIME_DIRECTORY: dir }, say));
  await proxy.waitForLine(/serving gcr\.io at/);
  const client = Deno.createHttpClient({ caCerts: [authority.certificatePem], poolMaxIdlePerHost: 0 });
  parts.defer(() => client.close());
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
  const images = { isPresent: () => false, pullError: (image: string) => pull(image, port, client) };
  for (const pod of pods) await pod.sync(images);
  await proxy.end("SIGTERM");
  const kept = parts.move();
  return { pods, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** Pulls as a runtime does: the manifest, then its layers. Returns the error, if there is one. */
async function pull(image: string, port: number, client: Deno.HttpClient): Promise<string | undefined> {
  const [, name = "", tag = ""] = /^gcr\.io\/([^:@]+)[:@](.+)$/.exec(image) ?? [];
  const ask = (path: string) => fetch(`https://localhost:${port}/v2/${name}/${path}?ns=gcr.io`, { client });
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
