// What public reports say that Engines, kubelets, names and files are like, done to the program with
// stand-ins. tests/README.md has the reports.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { endsWithin } from "../../lib/support/timeouts.ts";
import { makeAuthority } from "../fakes/certificates.ts";
import { failure } from "../fakes/containerd_wire.ts";
import { fakeImage } from "../fakes/docker_engine.ts";
import { startKubelet } from "../fakes/kubelet.ts";
import { type FakeNode, type FakeNodeOptions, startNode } from "../fakes/node.ts";
import { PATIENCE_MS } from "../support/patience.ts";
import { launch, runProgram, startProgram } from "../support/program.ts";
import { notOnPath } from "../support/programs.ts";
import { openProxyBench } from "../support/proxy_bench.ts";
import { testIfPossible } from "../support/requirements.ts";

const IMAGE = "gcr.io/a/b:1";
const IMAGES = { "a/b:1": fakeImage("b") };
const PODS = [{ name: "web", containers: [{ name: "app", image: IMAGE }] }];
const RULES = "registries: {gcr.io: mirror.example}\npoll: {interval: 1s}\n" +
  "repair: {backoff: {initial: 500ms, max: 1s}}\n";
const REPAIRED = /\[Repair\] {2}repaired gcr\.io\/a\/b:1 for default\/web/;

/** A node whose pod waits for IMAGE, which the mirror has. */
function startWaitingNode(engine: FakeNodeOptions["engine"] = {}): Promise<FakeNode> {
  const registries = { "mirror.example": { state: "up" as const, images: IMAGES } };
  return startNode({ config: RULES, pods: PODS, engine: { registries, ...engine } });
}

/** Has the config name another port of localhost for the kubelet. */
async function useKubeletPort({ configFile }: FakeNode, port: number): Promise<void> {
  const text = await Deno.readTextFile(configFile);
  await Deno.writeTextFile(configFile, text.replace(/localhost:\d+/, `localhost:${port}`));
}

Deno.test("an Engine 29, which refuses API versions before 1.44 (costela/docker-etchosts#20)", async () => {
  const engine = { version: "29.0.0", apiVersion: "1.52", minApiVersion: "1.44", imageStore: "containerd" } as const;
  await using node = await startWaitingNode(engine);
  await using gilly = startProgram(["run", "--config", node.configFile]);
  await gilly.waitForLine(REPAIRED);
  await node.engine.waitFor(({ path }) => path === "/events");
  assertEquals([...new Set(node.engine.journal.map(({ version }) => version))], ["", "1.51"]);
  assertEquals((await gilly.end("SIGTERM")).code, 0);
});

Deno.test("a proxy before the socket that lets no POST pass (Tecnativa/docker-socket-proxy#75)", async () => {
  await using node = await startWaitingNode();
  const page = "<html><body><h1>403 Forbidden</h1>\nRequest forbidden by administrative rules.\n</body></html>\n";
  node.engine.intercept = ({ method }) => method === "POST" ? new Response(page, { status: 403 }) : undefined;
  await using gilly = startProgram(["run", "--config", node.configFile]);
  const line = await gilly.waitForLine(/cannot repair gcr\.io\/a\/b:1 for default\/web/);
  assertStringIncludes(line, `default/web: pull mirror.example/a/b:1: ${node.engine.socket} answered 403, not as a `);
  assert(!/denied|credentials/.test(line), line);
  node.engine.intercept = undefined;
  await gilly.waitForLine(REPAIRED);
  assertEquals(gilly.journal.filter((line) => line.includes("[Mirror]")), [], "no mirror is blamed");
});

/** The TLS alert internal_error (RFC 8446, 6.2), which Go sends where it has no certificate. */
const INTERNAL_ERROR = new Uint8Array([0x15, 3, 3, 0, 2, 2, 80]);

Deno.test("a kubelet whose serving certificate nobody has approved yet (kubernetes/kubeadm#591)", async () => {
  await using node = await startWaitingNode();
  const kubeletPort = Number(new URL(node.kubelet.url).port);
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let isApproved = false;
  void (async () => {
    for await (const client of listener) {
      if (!isApproved) {
        await client.read(new Uint8Array(4096));
        await client.write(INTERNAL_ERROR);
        client.close();
        continue;
      }
      const kubelet = await Deno.connect({ hostname: "127.0.0.1", port: kubeletPort });
      void client.readable.pipeTo(kubelet.writable).catch(() => {});
      void kubelet.readable.pipeTo(client.writable).catch(() => {});
    }
  })();
  await useKubeletPort(node, listener.addr.port);
  await using gilly = startProgram(["run", "--config", node.configFile]);
  await gilly.waitForLine(/no answer from https:\/\/localhost:\d+\/pods: received fatal alert: InternalError/);
  isApproved = true;
  await gilly.waitForLine(REPAIRED);
  assertEquals(gilly.journal.filter((line) => line.includes("InternalError")).length, 1);
});

Deno.test("a node whose clock is behind the kubelet's new certificate (kubernetes-sigs/kind#2166)", async () => {
  await using node = await startWaitingNode();
  const authority = makeAuthority("cluster");
  const notBefore = new Date(Date.now() + 3_600_000);
  const serverCertificate = authority.issueServer({ dnsNames: ["localhost"], notBefore });
  const kubelet = await startKubelet({ serverCertificate });
  try {
    await Deno.writeTextFile(`${node.dir}/ca.crt`, authority.certificatePem);
    await useKubeletPort(node, Number(new URL(kubelet.url).port));
    const { code, stdout } = await runProgram(["check", "--config", node.configFile]);
    assertEquals(code, 1);
    const [finding] = stdout.match(/^fail {2}kubelet certificate: .*\n +→ .*$/m) ?? [];
    assertMatch(finding ?? stdout, /not valid yet[^]*clock/);
  } finally {
    await kubelet.close();
  }
});

testIfPossible(
  "a kubelet that does not listen where localhost leads first (denoland/deno#25661)",
  [...notOnPath(["unshare", "mount"], ["/usr/sbin", "/sbin"]), ...(Deno.uid() === 0 ? [] : ["root"])],
  async () => {
    await using node = await startWaitingNode();
    await Deno.writeTextFile(`${node.dir}/hosts`, "::1 localhost\n127.0.0.1 localhost\n");
    const { program, args, ...options } = launch();
    const script = 'mount --bind "$0" /etc/hosts && exec "$@"';
    const command = [program, ...args, "once", "--config", node.configFile];
    const { code, stderr } = await new Deno.Command("unshare", {
      ...options,
      args: ["--mount", "sh", "-c", script, `${node.dir}/hosts`, ...command],
    }).output();
    const log = new TextDecoder().decode(stderr);
    assertEquals(code, 0, log);
    assertMatch(log, REPAIRED);
  },
);

Deno.test("an image at an IPv6 address, which a kubelet cannot parse (kubernetes/kubernetes#104491)", async () => {
  const image = "[fc00:f853:ccd:e793::3]:5000/hello-app:1.0";
  const message = `couldn't parse image reference "${image}": invalid reference format`;
  await using node = await startWaitingNode();
  const status = { name: "app", image, state: { waiting: { reason: "InvalidImageName", message } } };
  node.kubelet.addItem({
    metadata: { name: "v6", namespace: "default", uid: "v6" },
    spec: { containers: [{ name: "app", image, imagePullPolicy: "IfNotPresent" }] },
    status: { phase: "Pending", containerStatuses: [status] },
  });
  const { code, stderr } = await runProgram(["once", "--config", node.configFile]);
  assertEquals(code, 0);
  assertStringIncludes(stderr, `cannot repair ${image} for pod default/v6: invalid-reference: `);
  assertMatch(stderr, REPAIRED);
});

for (
  const [what, change] of [
    ["Windows line ends (ddev/ddev#1677)", (text: string) => text.replaceAll("\n", "\r\n")],
    ["a byte order mark and an anchor", (text: string) => `\ufeff${text.replace("mirror.ex", "&m mirror.ex")}`],
  ] as const
) {
  Deno.test(`a config with ${what}`, async () => {
    await using node = await startWaitingNode();
    await Deno.writeTextFile(node.configFile, change(await Deno.readTextFile(node.configFile)));
    const { code, stderr } = await runProgram(["once", "--config", node.configFile]);
    assertEquals(code, 0, stderr);
    assertMatch(stderr, REPAIRED);
  });
}

for (const [what, character] of [["zero-width", "\u200b"], ["no-break", "\u00a0"]] as const) {
  Deno.test(`a config with a ${what} space in a key (elastic/filebeat#151)`, async () => {
    await using node = await startWaitingNode();
    const config = await Deno.readTextFile(node.configFile);
    await Deno.writeTextFile(node.configFile, config.replace("registries:", `registries${character}:`));
    const { code, stderr } = await runProgram(["once", "--config", node.configFile]);
    assertEquals(code, 78, stderr);
    assert(!stderr.includes(character), stderr);
    assertStringIncludes(stderr, `registries\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
  });
}

Deno.test("a Retry-After with a Unix time in place of a duration (docker/hub-feedback#2459)", async () => {
  await using bench = await openProxyBench();
  bench.mirror.put("team/app:1");
  bench.mirror.respond = () => new Response("{}", { status: 429, headers: { "Retry-After": "1746136938" } });
  await bench.start();
  const ask = async () => await (await bench.fetch("/v2/team/app/manifests/1")).text();
  assertMatch(await ask(), /answered 429/);
  assertMatch(await ask(), / is cooling down for another \d s /, "a pause of Gilly's own, in seconds");
});

Deno.test("a containerd that gives up a pull without progress (kubernetes/kubernetes#131521)", async () => {
  await using node = await startNode({
    runtime: "containerd",
    config: RULES,
    pods: PODS,
    containerd: { registries: { "mirror.example": { state: "up", images: IMAGES } } },
  });
  const said = 'failed to pull and unpack image "mirror.example/a/b:1": context canceled';
  node.containerd.intercept = ({ method }) => method === "PullImage" ? failure(1, said) : undefined;
  await using gilly = startProgram(["run", "--config", node.configFile]);
  await gilly.waitForLine(/cannot repair gcr\.io\/a\/b:1 for default\/web: .*context canceled/);
  node.containerd.intercept = undefined;
  await gilly.waitForLine(REPAIRED);
  assertEquals(gilly.journal.filter((line) => line.includes("[Mirror]")), [], "no mirror is blamed");
});

Deno.test("a sandbox image that garbage collection removes (kubernetes/kubernetes#81756)", async () => {
  const pause = "k8s.gcr.io/pause:3.2";
  await using node = await startNode({
    runtime: "containerd",
    config: "registries: {k8s.gcr.io: mirror.example}\npoll: {interval: 1h}\nkeep: [k8s.gcr.io/pause:3.2]\n",
    containerd: { registries: { "mirror.example": { state: "up", images: { "pause:3.2": fakeImage("pause") } } } },
  });
  const tagged = /\[TagImage\] tagged image: mirror\.example\/pause:3\.2 to k8s\.gcr\.io\/pause:3\.2/;
  const again = Promise.withResolvers<void>();
  let isRemoved = false;
  await using gilly = startProgram(["run", "--config", node.configFile], {}, (line) => {
    if (isRemoved && tagged.test(line)) again.resolve();
  });
  await gilly.waitForLine(tagged);
  await node.containerd.waitFor(({ method }) => method === "Subscribe");
  isRemoved = true;
  node.containerd.removeImage(pause);
  assert(await endsWithin(PATIENCE_MS, again.promise), gilly.journal.join("\n"));
  assertEquals((await gilly.end("SIGTERM")).code, 0);
  assert(node.containerd.has(pause), gilly.journal.join("\n"));
});
