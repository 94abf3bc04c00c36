// A runtime in memory with a journal of its calls, for tests of the modules that use a runtime. It
// fails pulls that it has no script for.

import type { RemoteImage } from "../../lib/images/registry.ts";
import type { Mirrors } from "../../lib/mirrors/mirrors.ts";
import type { RuntimeAdvice, RuntimeInfo } from "../../lib/runtime/advice.ts";
import { RuntimeError } from "../../lib/runtime/errors.ts";
import {
  type EventOptions,
  type LocalImage,
  type PulledImage,
  type PullOptions,
  type ResolveOptions,
  type Runtime,
  type RuntimeEvent,
} from "../../lib/runtime/runtime.ts";

/** What a pull of one reference does. */
export type PullScript = { readonly image: LocalImage; readonly digest?: string } | RuntimeError | Promise<PulledImage>;

/** The advice texts of a generic runtime. */
export const MEMORY_ADVICE: RuntimeAdvice = {
  noProxyRemedy: () => "",
  short: "Memory",
  called: "the runtime in memory",
  socket: "/run/memory.sock",
  scheme: "memory",
  certsFolder: "/etc/memory/certs.d",
  findings: { runtime: "memory", socket: "memory socket" },
  remedies: {
    noSocket: "make the socket",
    notASocket: "make it a socket",
    notListening: "listen there",
    hangs: "wake it",
    silentPart: "start the part",
    failed: "look into it",
  },
  proxyRemedy: "tell it of the proxy",
  mirrorRemedy: () => undefined,
  permanentFix: () => ({ message: "none" }),
};

export class MemoryRuntime implements Runtime {
  readonly advice = MEMORY_ADVICE;
  /** The calls in order, each as `verb argument…`. */
  readonly calls: string[] = [];
  readonly images = new Map<string, LocalImage>();
  readonly pulls: Record<string, PullScript>;
  /** Thrown by every call of this verb while set. */
  readonly failures: Partial<Record<"inspect" | "tag" | "info", RuntimeError>> = {};
  /** What registries say that they have, in place of what the pulls deliver. */
  readonly remotes: Record<string, RemoteImage> = {};
  /** Called before a tag is set, so that a test can change something first. */
  beforeTag: () => void = () => {};
  /** The image that a tag resolves to afterward, in place of its source. */
  tagResolvesTo: LocalImage | undefined;
  /** Sends an event to the follower. */
  happen: (event: RuntimeEvent) => void = () => {};
  /** Ends the event stream as a restarting Engine does. */
  breakEvents: () => void = () => {};
  canAliasDigest = false;

  constructor(pulls: Record<string, PullScript> = {}) {
    this.pulls = pulls;
  }

  info(): Promise<RuntimeInfo> {
    this.calls.push("info");
    if (this.failures.info) return Promise.reject(this.failures.info);
    return Promise.resolve({
      name: "memory",
      version: "0",
      apiVersion: "0",
      imageStore: "in memory",
      canAliasDigest: this.canAliasDigest,
    });
  }

  inspect(reference: string): Promise<LocalImage | undefined> {
    this.calls.push(`inspect ${reference}`);
    if (this.failures.inspect) return Promise.reject(this.failures.inspect);
    return Promise.resolve(this.images.get(reference));
  }

  resolve(reference: string, { signal }: ResolveOptions): Promise<RemoteImage | undefined> {
    this.calls.push(`resolve ${reference}`);
    if (signal.aborted) return Promise.reject(signal.reason);
    const remote = this.remotes[reference];
    if (remote !== undefined) return Promise.resolve(remote);
    const script = this.pulls[reference];
    if (script instanceof RuntimeError) return Promise.reject(script);
    const digest = script === undefined || script instanceof Promise ? undefined : script.digest;
    return Promise.resolve(digest === undefined ? undefined : { digest });
  }

  async pull(reference: string, { signal, auth }: PullOptions): Promise<PulledImage> {
    this.calls.push(`pull ${reference}${auth === undefined ? "" : ` as ${JSON.stringify(auth)}`}`);
    signal.throwIfAborted();
    const script = this.pulls[reference];
    if (script === undefined) throw new RuntimeError("not-found", `pull ${reference}: manifest unknown`);
    if (script instanceof RuntimeError) throw script;
    if (script instanceof Promise) {
      const aborted = new Promise<never>((_, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason), { once: true })
      );
      return await Promise.race([script, aborted]);
    }
    this.images.set(reference, script.image);
    return { digest: script.digest, bytes: 10 };
  }

  tag(source: string, { name, tag }: { name: string; tag: string }): Promise<void> {
    this.beforeTag();
    this.calls.push(`tag ${source} ${name}:${tag}`);
    if (this.failures.tag) return Promise.reject(this.failures.tag);
    const image = this.tagResolvesTo ?? [...this.images.values()].find((image) => image.id === source);
    if (image === undefined) return Promise.reject(new RuntimeError("not-found", `tag ${source}: no such image`));
    this.images.set(`${name}:${tag}`, image);
    if (this.canAliasDigest) {
      for (const digest of image.digests) this.images.set(`${name}@${digest}`, image);
    }
    return Promise.resolve();
  }

  events({ signal, onOpen, onEvent }: EventOptions): Promise<never> {
    onOpen();
    return new Promise((_, reject) => {
      const end = (reason: unknown) => {
        this.happen = () => {};
        signal.removeEventListener("abort", abort);
        reject(reason);
      };
      const abort = () => end(signal.reason);
      signal.addEventListener("abort", abort, { once: true });
      this.breakEvents = () => end(new RuntimeError("unreachable", "the stream of events broke"));
      this.happen = onEvent;
    });
  }

  close(): void {
    this.calls.push("close");
  }
}

/** Returns an image with a short, readable id. */
export function image(id: string, digests: readonly string[] = []): LocalImage {
  return { id: `sha256:${id}`, tags: [], digests };
}

/** Returns mirrors that are all up and need no credentials, with `changes` applied. */
export function openMirrors(changes: Partial<Mirrors> = {}): Mirrors {
  return {
    coolingDown: () => undefined,
    credentials: () => Promise.resolve(undefined),
    credentialsInWords: (mirror) => `${mirror} was asked without credentials`,
    withSlot: (_mirror, _signal, pull) => pull(),
    probe: (_candidate, _signal, ask) => ask(),
    trying: () => {},
    delivered: () => {},
    failed: () => {},
    ...changes,
  };
}
