// The contract of a container runtime, as a list of tests. The fake and a real Engine run the same
// tests, so that the fake cannot drift from what it imitates.
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import type { RegistryAuth } from "../../lib/images/registry.ts";
import { RuntimeError, type RuntimeErrorKind } from "../../lib/runtime/errors.ts";
import type { PullProgress, Resolve, Runtime } from "../../lib/runtime/runtime.ts";

/** A runtime with a mirror behind it. All references carry a tag. */
export interface RuntimeFixture {
  readonly runtime: Runtime;
  /** An image that the mirror serves, and its digest there. */
  readonly served: string;
  readonly digest: string;
  /** A reference in the same repository that the mirror does not serve. */
  readonly missing: string;
  /** A reference at a registry that refuses connections. */
  readonly refused: string;
  /** An image whose pull begins and then makes no further progress. */
  readonly endless: string;
  /** An image that is served only with the credentials `auth`. */
  readonly guarded: string;
  readonly auth: RegistryAuth;
  /** Milliseconds without progress after which the runtime gives up a pull. */
  readonly noProgressMs: number;
  /** Whether the runtime tells of every layer of a pull, and not only of those that take a moment. */
  readonly tellsOfEveryLayer: boolean;
  /** Removes a local name, so that the next pull downloads. */
  forget(reference: string): Promise<void>;
  stop(): Promise<void>;
  start(): Promise<void>;
  cleanup(): Promise<void>;
}

/** Registers the suite with `register`, which is Deno.test or a function that may skip the test. */
export function runtimeContract(
  name: string,
  setup: () => Promise<RuntimeFixture>,
  register: (name: string, fn: (t: Deno.TestContext) => Promise<void>) => void = (title, fn) => Deno.test(title, fn),
): void {
  register(`${name} fulfills the runtime contract`, async (t) => {
    const fixture = await setup();
    try {
      const sentences = fixture.runtime.resolve === undefined ? SENTENCES : [...SENTENCES_OF_RESOLVE, ...SENTENCES];
      for (const [sentence, check] of sentences) await t.step(sentence, () => check(fixture));
    } finally {
      fixture.runtime.close();
      await fixture.cleanup();
    }
  });
}

type Check = (fixture: RuntimeFixture) => Promise<void>;

const SENTENCES: readonly (readonly [string, Check])[] = [
  ["info identifies the runtime", async ({ runtime }) => {
    const info = await runtime.info(never());
    assert(info.name !== "" && info.version !== "" && info.version !== "unknown");
    assertMatch(info.apiVersion, /^(?:1\.\d+|CRI v1)$/);
    assert(info.imageStore !== "");
  }],
  ["an absent name inspects as undefined", async ({ runtime, served, missing, digest }) => {
    for (const name of [served, missing, `${repositoryOf(served)}@${digest}`, "gcr.io/nobody/nothing:1", "nothing:1"]) {
      assertEquals(await runtime.inspect(name, never()), undefined, name);
    }
  }],
  [
    "a pulled reference resolves and has the reported digest",
    async ({ runtime, served, digest, tellsOfEveryLayer }) => {
      const progress: PullProgress[] = [];
      const pulled = await runtime.pull(served, { signal: never(), onProgress: (step) => progress.push(step) });
      assertEquals(pulled.digest, digest);
      // The containerd image store reports no size for a layer that arrives within 0.1 s.
      const isQuiet = (await runtime.info(never())).canAliasDigest;
      assert(pulled.bytes > 0 || isQuiet);
      const isComplete = progress.some(({ layer, status }) =>
        /^[0-9a-f]{12}$/.test(layer) && status === "Pull complete"
      );
      assert(isComplete || !tellsOfEveryLayer);
      const image = await runtime.inspect(served, never());
      assertMatch(image?.id ?? "", /^sha256:[0-9a-f]{64}$/);
      assert(image?.tags.includes(served));
      assert(image?.digests.includes(`${repositoryOf(served)}@${digest}`));
    },
  ],
  ["a pull of an image that is present downloads nothing", async ({ runtime, served, digest }) => {
    assertEquals(await runtime.pull(served, { signal: never() }), { digest, bytes: 0 });
  }],
  ["an image is pulled and found by its digest", async ({ runtime, served, digest, forget }) => {
    await forget(served);
    const byDigest = `${repositoryOf(served)}@${digest}`;
    assertEquals((await runtime.pull(byDigest, { signal: never() })).digest, digest);
    assert(await runtime.inspect(byDigest, never()) !== undefined);
    assertEquals(await runtime.inspect(served, never()), undefined);
    await forget(byDigest);
  }],
  ["a reference with a tag and a digest is pulled by the digest", async ({ runtime, served, digest, forget }) => {
    assertEquals((await runtime.pull(`${repositoryOf(served)}:other@${digest}`, { signal: never() })).digest, digest);
    await forget(`${repositoryOf(served)}@${digest}`);
  }],
  ["two concurrent pulls of one reference both succeed", async ({ runtime, served, digest }) => {
    const pulls = [served, served].map((reference) => runtime.pull(reference, { signal: never() }));
    assertEquals((await Promise.all(pulls)).map((pulled) => pulled.digest), [digest, digest]);
  }],
  ["a missing tag is not-found", async ({ runtime, missing }) => {
    await assertFails("not-found", `pull ${missing}: `, () => runtime.pull(missing, { signal: never() }));
  }],
  ["a registry that refuses connections is registry-down", async ({ runtime, refused }) => {
    await assertFails("registry-down", `pull ${refused}: `, () => runtime.pull(refused, { signal: never() }));
  }],
  ["a registry whose name does not resolve is registry-down", async ({ runtime }) => {
    const reference = "registry.invalid/not-found/denied:404";
    await assertFails("registry-down", `pull ${reference}: `, () => runtime.pull(reference, { signal: never() }));
  }],
  ["a registry that requires credentials is denied without them, and admits the right ones", async (fixture) => {
    const { runtime, guarded, auth } = fixture;
    await assertFails("denied", `pull ${guarded}: `, () => runtime.pull(guarded, { signal: never() }));
    const wrong = { username: "alice", password: "not-the-password" };
    const error = await assertFails("denied", "pull", () => runtime.pull(guarded, { signal: never(), auth: wrong }));
    assert(!error.message.includes(wrong.password));
    assertEquals(await runtime.inspect(guarded, never()), undefined);
    await runtime.pull(guarded, { signal: never(), auth });
    assert(await runtime.inspect(guarded, never()) !== undefined);
  }],
  ["a pull of a whole repository is refused", async ({ runtime, served }) => {
    await assertFails("rejected", "pull", () => runtime.pull(repositoryOf(served), { signal: never() }));
    await assertFails("rejected", "pull", () => runtime.pull(`${repositoryOf(served)}:`, { signal: never() }));
  }],
  ["a tag gives the same image another name", async ({ runtime, served }) => {
    await runtime.tag(served, { name: "gcr.io/sgryczan/ansible-runner", tag: "0.0.0" }, never());
    const image = await runtime.inspect("gcr.io/sgryczan/ansible-runner:0.0.0", never());
    assertEquals(image?.id, (await runtime.inspect(served, never()))?.id);
    assert(image?.tags.includes("gcr.io/sgryczan/ansible-runner:0.0.0") && image.tags.includes(served));
  }],
  ["a tag makes a digest resolve exactly if canAliasDigest says so", async ({ runtime, served, digest }) => {
    const { id } = (await runtime.inspect(served, never()))!;
    await runtime.tag(id, { name: "gcr.io/sgryczan/by-digest", tag: "gilly" }, never());
    const aliased = await runtime.inspect(`gcr.io/sgryczan/by-digest@${digest}`, never());
    assertEquals(aliased?.id, (await runtime.info(never())).canAliasDigest ? id : undefined);
  }],
  ["every spelling of a Docker Hub name finds the image", async ({ runtime, served }) => {
    await runtime.tag(served, { name: "docker.io/library/nginx", tag: "1" }, never());
    for (const spelling of ["nginx:1", "library/nginx:1", "docker.io/nginx:1", "index.docker.io/library/nginx:1"]) {
      assert((await runtime.inspect(spelling, never()))?.tags.includes("nginx:1"), spelling);
    }
  }],
  ["a tag for an unknown source is not-found", async ({ runtime }) => {
    const tagging = () => runtime.tag("gcr.io/nobody/nothing:1", { name: "gcr.io/a/b", tag: "1" }, never());
    await assertFails("not-found", "tag gcr.io/nobody/nothing:1 as gcr.io/a/b:1: ", tagging);
  }],
  ["a tag with an invalid name is rejected", async ({ runtime, served }) => {
    for (const [name, tag] of [["", "1"], ["gcr.io/a/b", ""], ["gcr.io/UPPER", "1"], ["gcr.io/a/b", "a b"]] as const) {
      await assertFails("rejected", "tag ", () => runtime.tag(served, { name, tag }, never()));
    }
  }],
  ["an invalid name is rejected and reaches no other endpoint", async ({ runtime }) => {
    const odd = ["", "/", "a//b:1", "/a:1", "a/:1/", "..", "../info", "a/../../info", "./a:1", "a b:1", "a:1\n", "ä:1"];
    for (const name of [...odd, "gcr.io/UPPER:1", "x".repeat(5000)]) {
      await assertFails("rejected", "inspect", () => runtime.inspect(name, never()));
    }
  }],
  ["a pull without progress is stalled", async ({ runtime, endless, noProgressMs }) => {
    const progress: PullProgress[] = [];
    const pulling = () => runtime.pull(endless, { signal: never(), onProgress: (step) => progress.push(step) });
    await assertFails("stalled", `pull ${endless}: no progress for ${noProgressMs / 1000} s`, pulling);
    assert(progress.length > 0);
  }],
  ["an aborted pull leaves no name behind", async ({ runtime, endless }) => {
    const stop = new AbortController();
    const reason = new Error("asked to stop");
    const pulling = runtime.pull(endless, { signal: stop.signal, onProgress: () => stop.abort(reason) });
    assertEquals(await assertRejects(() => pulling, Error), reason);
    assertEquals(await runtime.inspect(endless, never()), undefined);
  }],
  ["a call with an aborted signal throws the signal's reason", async ({ runtime, served }) => {
    const reason = new Error("too late");
    const signal = AbortSignal.abort(reason);
    assertEquals(await assertRejects(() => runtime.inspect(served, signal), Error), reason);
    assertEquals(await assertRejects(() => runtime.pull(served, { signal }), Error), reason);
    assertEquals(await assertRejects(() => runtime.info(signal), Error), reason);
  }],
  ["removing a name is an event, and the event stream ends with the signal", async ({ runtime, served, forget }) => {
    await runtime.pull(served, { signal: never() });
    const stop = new AbortController();
    const opened = Promise.withResolvers<void>();
    const heard = Promise.withResolvers<string>();
    const following = runtime.events({ signal: stop.signal, onOpen: opened.resolve, onEvent: heard.resolve });
    const ending = assertRejects(() => following, Error, "enough");
    await opened.promise;
    await forget(served);
    assertEquals(await heard.promise, "image-removed");
    stop.abort(new Error("enough"));
    await ending;
    await runtime.pull(served, { signal: never() });
  }],
  ["calls are unreachable while the Engine is down, and work again afterward", async (fixture) => {
    const { runtime, served } = fixture;
    const before = await runtime.inspect(served, never());
    const opened = Promise.withResolvers<void>();
    const following = fixture.runtime.events({ signal: never(), onOpen: opened.resolve, onEvent: () => {} });
    const broken = assertRejects(() => following, RuntimeError, "follow the events");
    await opened.promise;
    await fixture.stop();
    assertEquals((await broken).kind, "unreachable");
    await assertFails("unreachable", `inspect ${served}: `, () => runtime.inspect(served, never()));
    await assertFails("unreachable", `pull ${served}: `, () => runtime.pull(served, { signal: never() }));
    await fixture.start();
    assertEquals((await runtime.inspect(served, never()))?.id, before?.id);
    await runtime.tag(served, { name: "gcr.io/after/restart", tag: "1" }, never());
  }],
  ["calls are unreachable after close", async ({ runtime, served }) => {
    runtime.close();
    await assertFails("unreachable", `inspect ${served}: `, () => runtime.inspect(served, never()));
    runtime.close();
  }],
];

/** For a runtime that can ask a registry without pulling; they come before anything is pulled. */
const SENTENCES_OF_RESOLVE: readonly (readonly [string, Check])[] = [
  ["resolve returns the registry's digest and leaves nothing behind", async ({ runtime, served, missing, digest }) => {
    const resolve = resolverOf(runtime);
    const own = `linux/${Deno.build.arch === "aarch64" ? "arm64" : "amd64"}`;
    for (const name of [served, `${repositoryOf(served)}@${digest}`]) {
      const found = await resolve(name, { signal: never() });
      assertEquals(found?.digest, digest);
      // Not every Engine tells that of a manifest which is in no index.
      for (const platform of found?.platforms ?? []) assertEquals(platform, own);
    }
    assertEquals(await resolve(missing, { signal: never() }), undefined);
    assertEquals(await resolve(`${repositoryOf(served)}/no/such:1`, { signal: never() }), undefined);
    assertEquals(await runtime.inspect(served, never()), undefined);
  }],
  ["resolve fails as a pull does", async ({ runtime, refused, guarded, auth }) => {
    const resolve = resolverOf(runtime);
    await assertFails("registry-down", `resolve ${refused}: `, () => resolve(refused, { signal: never() }));
    await assertFails("denied", `resolve ${guarded}: `, () => resolve(guarded, { signal: never() }));
    const wrong = { username: "alice", password: "not-the-password" };
    const asking = () => resolve(guarded, { signal: never(), auth: wrong });
    assert(!(await assertFails("denied", "resolve", asking)).message.includes(wrong.password));
    assertMatch((await resolve(guarded, { signal: never(), auth }))?.digest ?? "", /^sha256:[0-9a-f]{64}$/);
    const missing = `${repositoryOf(guarded)}:no-such-tag`;
    assertEquals(await resolve(missing, { signal: never(), auth }), undefined);
    await assertFails("rejected", "resolve", () => resolve("a//b:1", { signal: never() }));
  }],
];

function resolverOf(runtime: Runtime): Resolve {
  return (reference, options) => runtime.resolve!(reference, options);
}

/**
 * Asserts that the call throws a RuntimeError of that kind whose message begins with `beginning`.
 */
async function assertFails(
  kind: RuntimeErrorKind,
  beginning: string,
  call: () => Promise<unknown>,
): Promise<RuntimeError> {
  const error = await assertRejects(call, RuntimeError);
  assertEquals(error.kind, kind, error.message);
  assertStringIncludes(error.message.slice(0, beginning.length), beginning);
  return error;
}

function never(): AbortSignal {
  return new AbortController().signal;
}

function repositoryOf(reference: string): string {
  return reference.slice(0, reference.lastIndexOf(":"));
}
