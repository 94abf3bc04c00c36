import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { testIfPossible } from "../support/requirements.ts";
import { type IssuedCertificate, makeAuthority } from "./certificates.ts";
import { type FakeKubelet, type KubeletOptions, startKubelet } from "./kubelet.ts";
import type { ContainerDescription } from "./kubelet_pods.ts";
import { missingForMtls } from "./mtls_proxy.ts";

const authority = makeAuthority("cluster");
const serverCertificate = authority.issueServer({ dnsNames: ["localhost"] });
const known = authority.issueClient({ commonName: "gilly" });
const stranger = makeAuthority("elsewhere").issueClient({ commonName: "gilly" });

const TOKEN = "s3cret";

const IMAGE = "gcr.io/team/app:1";
const CONTAINER: ContainerDescription = { name: "app", image: IMAGE };

interface PodList {
  readonly items: null | {
    readonly metadata: Record<string, unknown>;
    readonly spec: { readonly containers: { readonly imagePullPolicy: string }[] };
    readonly status: { readonly phase: string; readonly containerStatuses: Record<string, unknown>[] };
  }[];
}

async function withKubelet(
  options: Partial<KubeletOptions>,
  test: (kubelet: FakeKubelet) => Promise<void>,
): Promise<void> {
  const kubelet = await startKubelet({ serverCertificate, tokens: [TOKEN], ...options });
  try {
    await test(kubelet);
  } finally {
    await kubelet.close();
  }
}

async function get(
  kubelet: FakeKubelet,
  options: { client?: IssuedCertificate; path?: string; method?: string; token?: string; signal?: AbortSignal } = {},
): Promise<{ status: number; type: string | null; text: string }> {
  const { client, path = "/pods", token = TOKEN, ...rest } = options;
  using http = Deno.createHttpClient({
    caCerts: [authority.certificatePem],
    ...(client ? { cert: client.certificatePem, key: client.keyPem } : {}),
  });
  const headers: Record<string, string> = token === "" ? {} : { authorization: `Bearer ${token}` };
  const response = await fetch(kubelet.url + path, { client: http, headers, ...rest });
  return { status: response.status, type: response.headers.get("content-type"), text: await response.text() };
}

async function podsOf(kubelet: FakeKubelet): Promise<PodList> {
  return JSON.parse((await get(kubelet)).text);
}

function states(kubelet: FakeKubelet): string[] {
  return kubelet.containers().map(({ state }) => state);
}

Deno.test("a kubelet without pods answers null in place of the list", async () => {
  await withKubelet({}, async (kubelet) => {
    const answer = await get(kubelet);
    assertEquals(answer, {
      status: 200,
      type: "application/json",
      text: '{"kind":"PodList","apiVersion":"v1","metadata":{},"items":null}',
    });
  });
});

testIfPossible("a client without a trusted certificate or token gets the kubelet's 401", missingForMtls(), async () => {
  await withKubelet({ clientCertificates: { ca: authority.certificatePem } }, async (kubelet) => {
    const answers = [
      await get(kubelet, { token: "" }),
      await get(kubelet, { client: stranger, token: "" }),
      await get(kubelet, { token: "wrong" }),
      await get(kubelet),
      await get(kubelet, { client: known, token: "wrong" }),
    ];
    assertEquals(answers.map(({ status }) => status), [401, 401, 401, 200, 200]);
    assertEquals(answers[0]!.text, "Unauthorized");
    assertEquals(kubelet.requests.map(({ identifiedBy }) => identifiedBy), [
      "nothing",
      "nothing",
      "nothing",
      "token",
      "certificate",
    ]);
  });
});

testIfPossible(
  "a kubelet that requires certificates refuses other clients in the handshake",
  missingForMtls(),
  async () => {
    await withKubelet({ clientCertificates: { ca: authority.certificatePem, policy: "require" } }, async (kubelet) => {
      const early = new Date("2020-01-01");
      const expired = authority.issueClient({
        commonName: "gilly",
        notBefore: early,
        notAfter: new Date("2020-01-02"),
      });
      await assertRejects(() => get(kubelet), TypeError, "CertificateRequired");
      for (const client of [stranger, expired, serverCertificate]) {
        await assertRejects(() => get(kubelet, { client }), TypeError, "connection error");
      }
      assertEquals((await get(kubelet, { client: known })).status, 200);
      assertEquals(kubelet.requests.length, 1);
    });
  },
);

Deno.test("only GET is allowed on /pods, and the only other path is /healthz", async () => {
  await withKubelet({}, async (kubelet) => {
    const statusOf = async (method: string, path: string) => (await get(kubelet, { method, path })).status;
    assertEquals(await statusOf("POST", "/pods"), 405);
    assertEquals(await statusOf("GET", "/pods/"), 200);
    assertEquals(await statusOf("GET", "/pods?limit=1"), 200);
    assertEquals(await statusOf("GET", "/healthz"), 200);
    assertEquals(await statusOf("GET", "/run"), 404);
  });
});

Deno.test("a container waits, fails, backs off for longer each time, and runs once its image is present", async () => {
  const present = new Set<string>();
  const pods = [{ name: "web", containers: [CONTAINER] }];
  await withKubelet({ pods, isPresent: (reference) => present.has(reference) }, async (kubelet) => {
    const seen = states(kubelet);
    for (let sync = 0; sync < 11; sync++) {
      await kubelet.advance();
      seen.push(...states(kubelet));
    }
    const initials = { ContainerCreating: "C", ErrImagePull: "E", ImagePullBackOff: "b" } as Record<string, string>;
    assertEquals(seen.map((state) => initials[state] ?? state).join(""), "CEbEbbEbbbbE");
    present.add(IMAGE);
    await kubelet.advance();
    assertEquals(states(kubelet), ["Running"]);
  });
});

Deno.test("a waiting container shows the image of its manifest, a running one the runtime's name for it", async () => {
  const images = { isPresent: () => true, nameOf: () => "mirror.example/team/app:1" };
  await withKubelet({ pods: [{ name: "web", containers: [CONTAINER] }], images }, async (kubelet) => {
    const shown = async () => (await podsOf(kubelet)).items!.map(({ status }) => status.containerStatuses[0]!.image);
    assertEquals(await shown(), [IMAGE]);
    await kubelet.advance();
    assertEquals(await shown(), ["mirror.example/team/app:1"]);
  });
});

for (const [runtime, prefix] of [[undefined, "docker"], ["containerd", "containerd"], ["cri-o", "cri-o"]] as const) {
  Deno.test(`once a container has been created, its id names ${prefix}, and stays`, async () => {
    const images = new Set<string>();
    await withKubelet({ runtime, isPresent: (it) => images.has(it) }, async (kubelet) => {
      kubelet.addPod({ name: "a", containers: [CONTAINER] });
      const id = async () => (await podsOf(kubelet)).items![0]!.status.containerStatuses[0]!.containerID;
      await kubelet.advance();
      assertEquals(await id(), undefined);
      images.add(IMAGE);
      await kubelet.advance(2);
      const first = await id();
      assertMatch(String(first), new RegExp(`^${prefix}://[0-9a-f]{64}$`));
      kubelet.killContainer("a", "app");
      assertEquals(await id(), first);
    });
  });
}

Deno.test("the pull policy decides whether a present image is used, and admission fills it in", async () => {
  const containers: ContainerDescription[] = [
    { name: "tag", image: IMAGE },
    { name: "no-tag", image: "gcr.io/team/app" },
    { name: "latest", image: "gcr.io/team/app:latest" },
    { name: "digest", image: `gcr.io/team/app@sha256:${"a".repeat(64)}` },
    { name: "never", image: "gcr.io/team/other:1", imagePullPolicy: "Never" },
    { name: "unparsable", image: "gcr.io/Team/app:1" },
  ];
  const isPresent = (reference: string) => reference.startsWith("gcr.io/team/app");
  await withKubelet({ pods: [{ name: "web", containers }], isPresent }, async (kubelet) => {
    await kubelet.advance();
    const [pod] = (await podsOf(kubelet)).items!;
    const policies = pod!.spec.containers.map(({ imagePullPolicy }) => imagePullPolicy);
    assertEquals(policies, ["IfNotPresent", "Always", "Always", "IfNotPresent", "Never", "IfNotPresent"]);
    assertEquals(states(kubelet), [
      "Running",
      "ErrImagePull",
      "ErrImagePull",
      "Running",
      "ErrImageNeverPull",
      "InvalidImageName",
    ]);
  });
});

Deno.test("an image without a tag is looked up as latest", async () => {
  const asked: string[] = [];
  const isPresent = (reference: string) => asked.push(reference) > 0;
  const containers: ContainerDescription[] = [{ name: "app", image: "localhost:5000/app", imagePullPolicy: "Never" }];
  await withKubelet({ pods: [{ name: "web", containers }], isPresent }, async (kubelet) => {
    await kubelet.advance();
    assertEquals(asked, ["localhost:5000/app:latest"]);
  });
});

Deno.test("regular containers are tried only after every init container has completed", async () => {
  const present = new Set(["gcr.io/team/first:1", "gcr.io/team/second:1"]);
  const initContainers = [{ name: "first", image: "gcr.io/team/first:1" }, {
    name: "second",
    image: "gcr.io/team/second:1",
  }];
  const pods = [{ name: "web", initContainers, containers: [CONTAINER] }];
  await withKubelet({ pods, isPresent: (reference) => present.has(reference) }, async (kubelet) => {
    const seen: string[] = [];
    for (let sync = 0; sync < 3; sync++) {
      await kubelet.advance();
      seen.push(states(kubelet).join(" "));
    }
    assertEquals(seen, [
      "Running PodInitializing PodInitializing",
      "Completed Running PodInitializing",
      "Completed Completed ErrImagePull",
    ]);
  });
});

Deno.test("a restarted container whose image is gone waits in a pod that is Running", async () => {
  const present = new Set([IMAGE]);
  const pods = [{ name: "web", containers: [CONTAINER], isStatic: true }];
  await withKubelet({ pods, isPresent: (reference) => present.has(reference) }, async (kubelet) => {
    await kubelet.advance();
    present.clear();
    kubelet.killContainer("web", "app");
    await kubelet.advance();
    const [pod] = (await podsOf(kubelet)).items!;
    assertEquals([pod!.status.phase, states(kubelet)[0]], ["Running", "ErrImagePull"]);
    assertEquals(pod!.metadata.creationTimestamp, null);
  });
});

Deno.test("a deleted pod stays listed until it is removed", async () => {
  await withKubelet({ pods: [{ name: "web", namespace: "shop", containers: [CONTAINER] }] }, async (kubelet) => {
    kubelet.deletePod("web", "shop");
    assertEquals(typeof (await podsOf(kubelet)).items![0]!.metadata.deletionTimestamp, "string");
    kubelet.removePod("web", "shop");
    assertEquals((await podsOf(kubelet)).items, null);
  });
});

Deno.test("an override changes the body or status, for the given number of requests", async () => {
  await withKubelet({}, async (kubelet) => {
    kubelet.answerWith({ body: "<html>", contentType: "text/html" }, 1);
    assertEquals(await get(kubelet), { status: 200, type: "text/html", text: "<html>" });
    assertEquals((await get(kubelet)).type, "application/json");
    kubelet.answerWith({ status: 403 });
    const { status, text } = await get(kubelet);
    assertEquals([status, text], [403, "Forbidden (user=gilly, verb=get, resource=nodes, subresource=proxy)"]);
    kubelet.answerAsUsual();
    assertEquals((await get(kubelet)).status, 200);
  });
});

Deno.test("a huge answer arrives complete and uncompressed", async () => {
  await withKubelet({}, async (kubelet) => {
    kubelet.answerWith({ body: " ".repeat(5_000_000) });
    using client = Deno.createHttpClient({
      caCerts: [authority.certificatePem],
    });
    const response = await fetch(`${kubelet.url}/pods`, { client, headers: { authorization: `Bearer ${TOKEN}` } });
    assertEquals((await response.text()).length, 5_000_000);
    assertEquals(response.headers.get("content-length"), "5000000");
  });
});

Deno.test("a truncated answer fails at the client", async () => {
  await withKubelet({}, async (kubelet) => {
    kubelet.answerWith({ body: '{"kind":"PodList","items":[', isBrokenOff: true });
    await assertRejects(() => get(kubelet), TypeError);
  });
});

Deno.test("an answer can be held back, and a silent kubelet can still be closed", async () => {
  const release = Promise.withResolvers<void>();
  const leaving = new AbortController();
  await withKubelet({}, async (kubelet) => {
    kubelet.answerWith({ after: release.promise }, 1);
    const held = get(kubelet);
    assertEquals(await kubelet.waitForRequest(1), { method: "GET", path: "/pods", identifiedBy: "token" });
    release.resolve();
    assertEquals((await held).status, 200);

    kubelet.answerWith({ after: "never" });
    const arrived = kubelet.waitForRequest();
    const hanging = get(kubelet, { signal: leaving.signal });
    await arrived;
    leaving.abort();
    await assertRejects(() => hanging, DOMException);
  });
});
