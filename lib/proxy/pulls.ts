// Which requests belong to one pull: a runtime sends one for each manifest and each blob, and a
// person wants to hear of the image once.

import { repositoryOf } from "../images/reference.ts";
import type { Candidate } from "../images/rules.ts";
import { localName, type Target } from "../plan/plan.ts";
import { setRecent } from "../support/recent.ts";
import type { ProxyObserver } from "./observer.ts";

/** The most contents whose pull is remembered, and the most names of digests; the oldest go first. */
const MOST_KEPT = 10_000;

/** A pull ends when nothing was requested for so long, in milliseconds. */
const IDLE_MS = 3000;

/** A manifest that was served. */
export interface ServedManifest {
  readonly target: Target;
  readonly candidate: Candidate;
  readonly digest: string;
  /** The digests of the contents that it names. */
  readonly contents: readonly string[];
}

/** A blob that is being served. */
export interface BlobProgress {
  /** The image that it belongs to, or its own target if that is not known. */
  readonly target: Target;
  delivered(bytes: number): void;
  resumed(): void;
  ended(): void;
}

interface Pull extends Omit<ServedManifest, "contents"> {
  readonly keys: Set<string>;
  readonly startedAt: number;
  endedAt: number;
  bytes: number;
  resumed: number;
  /** Blobs under way. */
  busy: number;
  timer: ReturnType<typeof setTimeout> | undefined;
}

/** The pulls under way. */
export class Pulls {
  readonly #observer: ProxyObserver;
  readonly #now: () => number;
  readonly #idleMs: number;
  /** By `repository@digest`, of manifests and blobs. */
  readonly #byContent = new Map<string, Pull>();
  /** The image that was requested by tag, by `repository@digest`. */
  readonly #names = new Map<string, Target>();

  constructor(options: { readonly observer: ProxyObserver; readonly now: () => number; readonly idleMs?: number }) {
    this.#observer = options.observer;
    this.#now = options.now;
    this.#idleMs = options.idleMs ?? IDLE_MS;
  }

  /** A tag was found to be this content (`repository@digest`); the runtime may request it next. */
  resolved(target: Target, content: string): void {
    setRecent(this.#names, content, target, MOST_KEPT);
  }

  /** A manifest is on its way to the runtime, which requests the missing contents next. */
  manifestServed({ target, candidate, digest, contents }: ServedManifest): void {
    const repository = repositoryOf(target.reference);
    const key = `${repository}@${digest}`;
    const known = this.#byContent.get(key);
    const pull = known ?? this.#begin(this.#names.get(key) ?? target, candidate, digest);
    for (const content of [key, ...contents.map((content) => `${repository}@${content}`)]) {
      if (this.#byContent.has(content)) continue;
      setRecent(this.#byContent, content, pull, MOST_KEPT);
      pull.keys.add(content);
    }
    if (known === undefined) this.#observer.serving?.(pull.target, candidate);
    this.#touch(pull);
  }

  /** A blob is on its way to the runtime; `target` names it by its digest. */
  blobBegins(target: Target): BlobProgress {
    const pull = this.#byContent.get(localName(target.reference));
    if (pull === undefined) return { target, delivered() {}, resumed() {}, ended() {} };
    pull.busy++;
    clearTimeout(pull.timer);
    return {
      target: pull.target,
      delivered: (bytes) => void (pull.bytes += bytes),
      resumed: () => void pull.resumed++,
      ended: () => {
        pull.busy--;
        this.#touch(pull);
      },
    };
  }

  /** Ends every pull now. */
  close(): void {
    for (const pull of new Set(this.#byContent.values())) this.#end(pull);
  }

  #begin(target: Target, candidate: Candidate, digest: string): Pull {
    const progress = { endedAt: 0, bytes: 0, resumed: 0, busy: 0, timer: undefined };
    return { target, candidate, digest, keys: new Set(), startedAt: this.#now(), ...progress };
  }

  #touch(pull: Pull): void {
    pull.endedAt = this.#now();
    clearTimeout(pull.timer);
    if (pull.busy === 0) pull.timer = setTimeout(() => this.#end(pull), this.#idleMs);
  }

  #end(pull: Pull): void {
    clearTimeout(pull.timer);
    for (const key of pull.keys) if (this.#byContent.get(key) === pull) this.#byContent.delete(key);
    const { target, candidate, digest, bytes, resumed, startedAt, endedAt } = pull;
    this.#observer.served?.({ target, candidate, digest, bytes, resumed, seconds: (endedAt - startedAt) / 1000 });
  }
}
