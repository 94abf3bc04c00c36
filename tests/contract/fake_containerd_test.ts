// Asks a real containerd and the fake one the same, answer by answer, so that the fake cannot drift.
import { assertEquals } from "@std/assert";
import { Content } from "../../lib/runtime/containerd/messages/content_pb.ts";
import { ImageService, RuntimeService } from "../../lib/runtime/containerd/messages/cri_pb.ts";
import { Events } from "../../lib/runtime/containerd/messages/events_pb.ts";
import { Images } from "../../lib/runtime/containerd/messages/images_pb.ts";
import { type CriContainerd, startCriContainerd } from "../e2e/containerd.ts";
import { missingPrograms, REGISTRY_USER, startRegistry } from "../e2e/engine.ts";
import { answering, type FaultyRegistry, startFaultyRegistry } from "../e2e/faulty_registry.ts";
import { removeEverythingUnder } from "../e2e/leftovers.ts";
import { putImage, randomLayer } from "../e2e/registry_images.ts";
import { type FakeContainerd, fakeImage, type FakeRegistry, startFakeContainerd } from "../fakes/containerd.ts";
import { RawClient } from "../fakes/grpc_call.ts";
import { testIfPossible } from "../support/requirements.ts";

/** The registries, as both know them, and the image `a/b:1` in the first two. */
interface Subjects {
  readonly open: string;
  readonly guarded: string;
  readonly faulty: string;
  readonly id: string;
  readonly digest: string;
}

/** A containerd to be asked, and what only the test can do to it. */
interface Asked {
  readonly client: RawClient;
  fault(status: 401 | 404 | 429 | 503): void;
  remove(name: string): Promise<void>;
}

const missing = [...missingPrograms(), ...(Deno.uid() === 0 ? [] : ["root"])];

testIfPossible("the fake containerd answers as a real one does", missing, async () => {
  const dir = await Deno.makeTempDir({ prefix: "gilly-containerd-" });
  await using begun = new AsyncDisposableStack();
  begun.defer(() => removeEverythingUnder(dir));
  const real = await startCriContainerd(`${dir}/containerd`);
  begun.defer(() => real.stop());
  const registry = await startRegistry(`${dir}/registry`);
  begun.defer(() => registry.remove());
  const guard = await startRegistry(`${dir}/guard`, { credentials: true });
  begun.defer(() => guard.remove());
  const faulty = startFaultyRegistry(registry.host);
  begun.defer(() => faulty.stop());
  const layer = await randomLayer(10_000);
  const digest = await putImage(registry, "a/b", "1", [layer]);
  await putImage({ host: guard.host, credentials: REGISTRY_USER }, "a/b", "1", [layer]);
  const realClient = begun.use(new RawClient(real.socket));
  const id = await idOf(realClient, real, `${registry.host}/a/b:1`);
  const subjects = { open: registry.host, guarded: guard.host, faulty: faulty.host, id, digest };

  const fake = await startFakeContainerd({ socket: `${dir}/fake.sock`, registries: fakeRegistries(subjects) });
  begun.defer(() => fake.stop());
  const fakeClient = begun.use(new RawClient(fake.socket));
  const actual = await interview(realAsked(realClient, real, faulty), subjects);
  const imitated = await interview(fakeAsked(fakeClient, fake, subjects), subjects);
  assertEquals(imitated, actual);
});

async function idOf(client: RawClient, { ctr }: CriContainerd, image: string): Promise<string> {
  const { messages: [pulled] } = await client.call(ImageService.method.pullImage, { image: { image } });
  const { imageRef } = pulled as { readonly imageRef: string };
  const names = (await ctr("images", "list", "--quiet")).trim().split("\n");
  await ctr("images", "rm", "--sync", ...names);
  return imageRef;
}

function fakeRegistries({ open, guarded, faulty, id, digest }: Subjects): Record<string, FakeRegistry> {
  const images = { "a/b:1": { ...fakeImage("any", [10_000]), id, digest } };
  return {
    [open]: { state: "up", images },
    [guarded]: { state: "up", images, credentials: REGISTRY_USER },
    [faulty]: { state: "up", images },
    "127.0.0.1:1": { state: "down", images: {} },
  };
}

function realAsked(client: RawClient, { ctr }: CriContainerd, faulty: FaultyRegistry): Asked {
  return {
    client,
    fault: (status) => void (faulty.fault = answering(status)),
    remove: async (name) => void await ctr("images", "rm", "--sync", name),
  };
}

function fakeAsked(client: RawClient, fake: FakeContainerd, { faulty }: Subjects): Asked {
  const registry = fake.registries[faulty]!;
  const states = { 401: "denied", 404: "up", 429: "rate-limited", 503: "unavailable" } as const;
  return {
    client,
    fault(status) {
      registry.state = states[status];
      if (status === 404) registry.images = {};
    },
    remove: (name) => Promise.resolve(fake.remove(name)),
  };
}

/** Asks everything in order, and returns the answers without what has to differ. */
async function interview(asked: Asked, subjects: Subjects): Promise<ReadonlyMap<string, unknown>> {
  const answers = new Map<string, unknown>();
  const note = (question: string, answer: unknown) => {
    answers.set(`${answers.size + 1}. ${question}`, settled(answer));
  };
  const stop = new AbortController();
  const filters = ["/images/create", "/images/update", "/images/delete", "/test/end"]
    .map((topic) => `namespace==k8s.io,topic==${JSON.stringify(topic)}`);
  const events = asked.client.follow(filters, stop.signal);
  await askOddly(asked, note);
  await askAboutImages(asked, subjects, note);
  await askForPulls(asked, subjects, note);
  await asked.client.call(Events.method.publish, { topic: "/test/end", event: {} });
  const heard: unknown[] = [];
  for await (const event of events) {
    const { topic, name } = event;
    if (topic === "/test/end") break;
    heard.push(`${topic} ${name}`);
  }
  stop.abort();
  note("events", heard);
  return answers;
}

/** Of the status only what is read of it: whether the configuration of the CRI plugin has a config_path. */
async function configPathShown(client: RawClient, verbose: boolean): Promise<string> {
  const { messages } = await client.call(RuntimeService.method.status, { verbose });
  const { info } = (messages[0] ?? {}) as { readonly info?: Readonly<Record<string, string>> };
  const config = info?.["config"];
  return config === undefined ? "no config" : typeof JSON.parse(config).registry.configPath;
}

type Note = (question: string, answer: unknown) => void;

async function askOddly({ client }: Asked, note: Note): Promise<void> {
  note("version", await client.call(RuntimeService.method.version, {}));
  for (const verbose of [false, true]) note(`status ${verbose}`, await configPathShown(client, verbose));
  const paths = ["/runtime.v1.RuntimeService/Nope", "/no.such.Service/X", "/x"];
  for (const path of paths) note(path, await client.answerTo(path, new Uint8Array(5)));
  const bodies = [[0, 0, 0, 0, 3, 255, 255, 255], [0, 0, 0, 0, 9, 1], [1, 0, 0, 0, 0], [0, 255, 0, 0, 0]];
  for (const body of bodies) {
    note(`body ${body}`, await client.answerTo("/runtime.v1.ImageService/ImageStatus", new Uint8Array(body)));
  }
  const nowhere = { headers: { "content-type": "application/grpc", te: "trailers" } };
  const target = { mediaType: "x/y", digest: `sha256:${"a".repeat(64)}`, size: 1n };
  note("get nowhere", await client.call(Images.method.get, { name: "x" }, nowhere));
  note("list nowhere", await client.call(Images.method.list, {}, nowhere));
  note("create nowhere", await client.call(Images.method.create, { image: { name: "x", target } }, nowhere));
  note("statuses nowhere", await client.call(Content.method.listStatuses, {}, nowhere));
  note("publish nowhere", await client.call(Events.method.publish, { topic: "/x/y", event: {} }, nowhere));
  for (const topic of ["", "x", "/", "/x", "/x/", "//x", "/x y"]) {
    note(`publish ${topic}`, await client.call(Events.method.publish, { topic, event: {} }));
  }
  note("statuses", await client.call(Content.method.listStatuses, {}));
}

async function askAboutImages({ client, remove }: Asked, { open, id, digest }: Subjects, note: Note): Promise<void> {
  const status = async (when: string, names: readonly string[]) => {
    for (const image of names) {
      note(`status ${when} ${image}`, await client.call(ImageService.method.imageStatus, { image: { image } }));
    }
  };
  const list = async (when: string) => note(`list ${when}`, await client.call(Images.method.list, {}));
  const get = async (name: string) => note(`get ${name}`, await client.call(Images.method.get, { name }));
  const name = `${open}/a/b:1`;
  const byDigest = `${open}/a/b@${digest}`;
  await status("before", [name, "nothing:1", "a//b:1", "UPPER/x:1", id, "sha256:abc"]);
  for (const absent of [name, "", "a//b:1"]) await get(absent);
  note("pull", await client.call(ImageService.method.pullImage, { image: { image: name } }));
  await list("after a pull");
  const other = `${open}/a/b:9@${digest}`;
  await status("after", [name, byDigest, other, id, id.slice(7), id.slice(7, 20), digest, `${open}/a/b`]);
  for (const present of [name, byDigest, id]) await get(present);
  await askForNames(client, digest, note);
  await noticed(client, "docker.io/library/x:1");
  await status("aliased", ["x:1", "library/x:1", "docker.io/library/x:1", "index.docker.io/library/x:1", "w:1", id]);
  await get("x:1");
  await remove(name);
  await list("after a removal");
  await gone(client, name);
  await status("after a removal", [name, id, byDigest]);
}

async function askForNames(client: RawClient, digest: string, note: Note): Promise<void> {
  const target = { mediaType: "application/vnd.docker.distribution.manifest.v2+json", digest, size: 425n };
  const labels = { "io.cri-containerd.image": "managed" };
  const create = async (what: string, image: Parameters<typeof named>[1]) => note(what, await named(client, image));
  const name = "docker.io/library/x:1";
  await create("create", { name, labels, target });
  await create("create again", { name, labels, target });
  await create("create with another target", { name, target: { ...target, digest: `sha256:${"b".repeat(64)}` } });
  await create("create without a name", { name: "", target });
  await create("create without a target", { name: "docker.io/library/y:1" });
  await create("create with a bad digest", { name: "docker.io/library/y:1", target: { ...target, digest: "abc" } });
  await create("create without a size", { name: "docker.io/library/y:1", target: { ...target, size: 0n } });
  const unknown = { ...target, digest: `sha256:${"c".repeat(64)}` };
  await create("create of an unknown content", { name: "docker.io/library/w:1", labels, target: unknown });
}

function named(
  client: RawClient,
  image: {
    readonly name: string;
    readonly labels?: Record<string, string>;
    readonly target?: { mediaType: string; digest: string; size: bigint };
  },
) {
  return client.call(Images.method.create, { image });
}

async function askForPulls({ client, fault }: Asked, subjects: Subjects, note: Note): Promise<void> {
  const { open, guarded, faulty, digest, id } = subjects;
  const pull = async (image: string, auth?: { username: string; password: string }, when = "") => {
    const request = { image: { image }, ...(auth && { auth }) };
    note(`pull ${when} ${image} ${auth?.password}`, await client.call(ImageService.method.pullImage, request));
  };
  for (const odd of ["a//b:1", "", "gcr.io/UPPER:1", "a b:1"]) await pull(odd);
  for (const absent of [":9", "", `@sha256:${"d".repeat(64)}`]) await pull(`${open}/a/b${absent}`);
  for (const image of [`${open}/no/such:1`, "127.0.0.1:1/a/b:1", "registry.invalid/a/b:1", "nginx:1", id]) {
    await pull(image);
  }
  await pull(`${guarded}/a/b:1`);
  await pull(`${guarded}/a/b:1`, { ...REGISTRY_USER, password: "wrong" });
  await pull(`${guarded}/a/b:1`, REGISTRY_USER);
  await pull(`${guarded}/a/b:9`, REGISTRY_USER);
  for (const status of [401, 429, 503, 404] as const) {
    fault(status);
    await pull(`${faulty}/a/b:1`, undefined, String(status));
  }
  await pull(`${open}/a/b:5@${digest}`);
}

/** CRI notices what happens to records a moment later. */
async function noticed(client: RawClient, image: string, isThere = true): Promise<void> {
  for (;;) {
    const { messages } = await client.call(ImageService.method.imageStatus, { image: { image } });
    if (Object.keys(messages[0] ?? {}).length > 0 === isThere) return;
  }
}

function gone(client: RawClient, image: string): Promise<void> {
  return noticed(client, image, false);
}

/** Sizes, the name server, and the order of an image's names are the machine's own. */
function settled(answer: unknown): unknown {
  return JSON.parse(
    JSON.stringify(answer, (key, value) => {
      if (key === "size") return "SIZE";
      return key === "repoTags" || key === "repoDigests" ? [...value].sort() : value;
    }).replace(/ on [\d.]+:53: /g, " on DNS:53: ").replace(/(lookup \S+): no such host/g, "$1 on DNS:53: no such host"),
  );
}
