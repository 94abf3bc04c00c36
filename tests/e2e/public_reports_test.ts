// What public reports say that mirrors do, done to `gilly pull` with real runtimes and a real
// registry. tests/README.md has the reports, and what is still missing.

import { assertEquals, assertMatch } from "@std/assert";
import { stringify } from "@std/yaml";
import { makeAuthority } from "../fakes/certificates.ts";
import { startKubelet } from "../fakes/kubelet.ts";
import { missingForProgram, testIfPossible } from "../support/requirements.ts";
import { startCriContainerd } from "./containerd.ts";
import { missingForCurrentEngine, startCurrentEngine } from "./current_engine.ts";
import { missingPrograms, startEngine, startRegistry } from "./engine.ts";
import { answering, type Fault, type FaultyRegistry, startFaultyRegistry } from "./faulty_registry.ts";
import { type Run, runGilly } from "./gilly.ts";
import { removeEverythingUnder } from "./leftovers.ts";
import { type Image, pushTo, sleeperImage } from "./registry_images.ts";

/** `repaired`, or what `gilly pull` says in place of that. */
type Expected = "repaired" | RegExp;

interface Report {
  /** The image's name, and the first label of its origin. */
  readonly name: string;
  /** `OWNER/REPOSITORY#NUMBER` on GitHub. */
  readonly link: string;
  /** What the mirror answers in place of the registry. */
  readonly fault?: Fault;
  /** Changes the registry's files, in the folder of its version 2. */
  readonly damage?: (folder: string, path: string, image: Image) => Promise<void>;
  /** The name that is pulled, from the origin, the path and the image's digest; by default tag 1. */
  readonly reference?: (origin: string, digest: string) => string;
  readonly onClassicEngine: Expected;
  readonly onCurrentEngine: Expected;
  readonly onContainerd: Expected;
  /** What a second pull says, once the fault is over. */
  readonly later?: Expected;
}

/** A port on which nothing listens. */
const NOWHERE = "127.0.0.1:9";
const isBlob = ({ url }: Request) => url.includes("/blobs/");
const isManifest = ({ url }: Request) => url.includes("/manifests/");
const isManifestHead = (request: Request) => isManifest(request) && request.method === "HEAD";

/** Answers some requests otherwise. */
function only(concerned: (request: Request) => boolean, fault: Fault): Fault {
  return (request, forward) => concerned(request) ? fault(request, forward) : forward();
}

/** Asks for a token from a server that is not there. */
const askingElsewhere: Fault = () => {
  const challenge = `Bearer realm="http://${NOWHERE}/api/auth",service="localhost"`;
  return new Response("{}", { status: 401, headers: { "WWW-Authenticate": challenge } });
};

/** Says of each blob that it is compressed for the transport, which it is not. */
const sayingGzip: Fault = async (_request, forward) => {
  const { body, status, headers } = await forward();
  return new Response(body, { status, headers: [...headers, ["Content-Encoding", "x-gzip"]] });
};

/** Has a manifest under its digest only once it was asked for by its tag. */
function cachingByTag(): Fault {
  const cached = new Set<string>();
  return (request, forward) => {
    const [, path = "", asked = ""] = /^(.*)\/manifests\/(.*)$/.exec(new URL(request.url).pathname) ?? [];
    if (asked.startsWith("sha256:") && !cached.has(path)) return answering(404, { say: "none" })(request, forward);
    cached.add(path);
    return forward();
  };
}

/** What S3 answers to a signed URL that has expired. */
const expired: Fault = ({ method }) => {
  const body = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>";
  return new Response(method === "HEAD" ? null : body, { status: 403, headers: { "Content-Type": "application/xml" } });
};

const NO_ADDRESS = new RegExp(`dial tcp ${NOWHERE}(?:: connect|…): connection refused`);
const WITHOUT_MANIFEST = /HTTP status: 500|HEAD request: 500|status code \[manifests 1\]: 500/;

/** `storage` is the host of a storage that refuses. */
function reportsWith(storage: string): readonly Report[] {
  const toStorage: Fault = () => Response.redirect(`http://${storage}/blob?X-Amz-Signature=abc`, 307);
  return [
    {
      name: "redirect-nowhere",
      link: "aws/containers-roadmap#2304",
      fault: only(isBlob, () => Response.redirect(`http://${NOWHERE}/data?verify=1`, 307)),
      onClassicEngine: NO_ADDRESS,
      onCurrentEngine: NO_ADDRESS,
      onContainerd: NO_ADDRESS,
    },
    {
      name: "expired-url",
      link: "distribution/distribution#4175",
      fault: only(isBlob, toStorage),
      onClassicEngine: /HTTP 403 response body: .*Request has expired/,
      onCurrentEngine: /GET request to http:\/\/127\.0\.0\.1:\d+\/blob\?\S*: 403 Forbidden/,
      onContainerd: /(?:\/blob\?\S*|blob sha256:\S+): 403 Forbidden; if it is about credentials: /,
    },
    {
      name: "unsigned-head",
      link: "moby/moby#50065",
      fault: only(isManifestHead, toStorage),
      onClassicEngine: "repaired",
      onCurrentEngine: /HEAD request to http:\/\/127\.0\.0\.1:\d+\/blob\?\S*: 403 Forbidden/,
      onContainerd: /403 Forbidden/,
    },
    {
      name: "refused-head",
      link: "containerd/containerd#6684",
      fault: only(isManifestHead, () => new Response(null, { status: 403 })),
      onClassicEngine: "repaired",
      onCurrentEngine: /unexpected status from HEAD request: 403 Forbidden; if it is about credentials: /,
      onContainerd: /403 Forbidden/,
    },
    {
      name: "x-gzip",
      link: "moby/moby#17595",
      fault: only(isBlob, sayingGzip),
      onClassicEngine: "repaired",
      onCurrentEngine: /unsupported Content-Encoding algorithm: x-gzip/,
      // Since containerd 2.
      onContainerd: /repaired|unsupported Content-Encoding algorithm: x-gzip/,
    },
    {
      name: "token-server",
      link: "mkuchin/docker-registry-web#48",
      fault: askingElsewhere,
      onClassicEngine: NO_ADDRESS,
      onCurrentEngine: NO_ADDRESS,
      onContainerd: NO_ADDRESS,
    },
    {
      name: "missing-at-first",
      link: "goharbor/harbor#16429",
      fault: only(isManifest, answering(404, { say: "artifact acme/missing-at-first not found" })),
      onClassicEngine: /: not-in-mirror: /,
      onCurrentEngine: /: not-in-mirror: /,
      onContainerd: /: not-in-mirror: /,
      later: "repaired",
    },
    {
      name: "cached-by-tag",
      link: "aws/containers-roadmap#2837",
      fault: cachingByTag(),
      reference: (origin, digest) => `${origin}:1@${digest}`,
      onClassicEngine: /: digest-on-classic-store: /,
      onCurrentEngine: /: not-in-mirror: /,
      onContainerd: /: not-in-mirror: /,
    },
    {
      name: "empty-link",
      link: "distribution/distribution#4489",
      damage: (folder, path) => Deno.truncate(`${folder}/repositories/${path}/_manifests/tags/1/current/link`),
      onClassicEngine: WITHOUT_MANIFEST,
      onCurrentEngine: WITHOUT_MANIFEST,
      onContainerd: WITHOUT_MANIFEST,
    },
    {
      name: "empty-layer",
      link: "distribution/distribution#4381",
      damage: (folder, _path, { layers: [layer] }) => {
        const digest = layer!.digest.slice("sha256:".length);
        return Deno.truncate(`${folder}/blobs/sha256/${digest.slice(0, 2)}/${digest}/data`);
      },
      onClassicEngine: /filesystem layer verification failed for digest sha256:/,
      onCurrentEngine: /short read: expected \d+ bytes but got 0: unexpected EOF/,
      onContainerd:
        /(?:short read: expected \d+ bytes but got 0|failed to read expected number of bytes): unexpected EOF/,
    },
  ];
}

const RUNTIMES = [
  { on: "the installed Docker Engine", kind: "docker", expected: "onClassicEngine", start: startEngine, missing: [] },
  {
    on: "a current Docker Engine with the containerd image store",
    kind: "docker",
    expected: "onCurrentEngine",
    start: startCurrentEngine,
    missing: missingForCurrentEngine(),
  },
  {
    on: "a containerd",
    kind: "containerd",
    expected: "onContainerd",
    start: async (dir: string) => {
      const containerd = await startCriContainerd(dir);
      return { socket: containerd.socket, stop: async () => await containerd[Symbol.asyncDispose]() };
    },
    missing: missingPrograms(["unshare", "nsenter", "ctr"]),
  },
] as const;

const needed = [...missingPrograms(), ...missingForProgram(), ...(Deno.uid() === 0 ? [] : ["root"])];

for (const { on, kind, expected, start, missing } of RUNTIMES) {
  testIfPossible(`mirrors of public reports, on ${on}`, [...needed, ...missing], async (t) => {
    await using parts = new AsyncDisposableStack();
    const dir = await Deno.makeTempDir({ prefix: "gilly-reports-" });
    parts.defer(() => removeEverythingUnder(dir));
    const registry = await startRegistry(`${dir}/mirror`);
    parts.defer(() => registry.stop());
    const runtime = await start(`${dir}/runtime`);
    parts.defer(() => runtime.stop());
    const front = (fault?: Fault) => parts.adopt(startFaultyRegistry(registry.host, fault), (it) => it.stop());
    const reports = reportsWith(front(expired).host);
    const fronts = reports.map(({ fault }) => front(fault));
    const digests = await Promise.all(reports.map(async ({ name, damage }) => {
      const image = await sleeperImage(name);
      const digest = await pushTo({ host: registry.host }, `acme/${name}`, "1", image);
      await damage?.(`${registry.dir}/data/docker/registry/v2`, `acme/${name}`, image);
      return digest;
    }));
    const config = await writeConfig(dir, { [kind]: { socket: runtime.socket } }, reports, fronts, parts);
    for (const [index, { name, link, reference, later, ...report }] of reports.entries()) {
      const image = reference?.(`${name}.example/acme/${name}`, digests[index]!) ?? `${name}.example/acme/${name}:1`;
      await t.step(`${name} (${link})`, async () => {
        assertRun(await runGilly(["pull", "--config", config, image]), report[expected]);
        if (later === undefined) return;
        fronts[index]!.fault = undefined;
        assertRun(await runGilly(["pull", "--config", config, image]), later);
      });
    }
  });
}

function assertRun({ code, stdout, stderr }: Run, expected: Expected): void {
  if (expected !== "repaired") return void assertMatch(stdout + stderr, expected);
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /^repaired /);
}

async function writeConfig(
  dir: string,
  runtime: Record<string, unknown>,
  reports: readonly Report[],
  fronts: readonly FaultyRegistry[],
  parts: AsyncDisposableStack,
): Promise<string> {
  const cluster = makeAuthority("cluster");
  const serverCertificate = cluster.issueServer({ dnsNames: ["localhost"] });
  const kubelet = parts.adopt(await startKubelet({ serverCertificate, tokens: ["token"] }), (it) => it.close());
  await Deno.writeTextFile(`${dir}/ca.crt`, cluster.certificatePem);
  await Deno.writeTextFile(`${dir}/token`, "token", { mode: 0o600 });
  await Deno.writeTextFile(
    `${dir}/config.yaml`,
    stringify({
      kubelet: { url: kubelet.url, caFile: "ca.crt", tokenFile: "token" },
      ...runtime,
      ledger: { file: `${dir}/ledger.jsonl` },
      registries: Object.fromEntries(reports.map(({ name }, index) => [`${name}.example`, fronts[index]!.host])),
    }),
  );
  return `${dir}/config.yaml`;
}
