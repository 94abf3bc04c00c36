// The image store of the fake containerd: records, which name a manifest each, and what its CRI
// plugin makes of them.

import { createHash } from "node:crypto";
import { type FakeImage, type FakeReference, parseFakeReference } from "./image_store.ts";

/** What CRI puts on the images that it manages. */
const MANAGED: Readonly<Record<string, string>> = { "io.cri-containerd.image": "managed" };

const MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";

/** What a record names. */
export interface Target {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: bigint;
}

/** A name in the image store. */
export interface ImageRecord {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly target: Target;
}

/** An image as ImageStatus describes it. */
export interface CriImage {
  readonly id: string;
  readonly repoTags: string[];
  readonly repoDigests: string[];
  readonly size: bigint;
}

/** `create` if a name is new, `update` otherwise. */
export type RecordChange = "create" | "update" | "delete";

/** The names and images of one containerd. */
export class ContainerdImages {
  readonly #records = new Map<string, ImageRecord>();
  readonly #images = new Map<string, FakeImage>();
  readonly #changed: (change: RecordChange, name: string) => void;

  /** `changed` is called with every change of a record, in order. */
  constructor(changed: (change: RecordChange, name: string) => void) {
    this.#changed = changed;
  }

  /** The records, sorted by name. */
  list(): ImageRecord[] {
    return [...this.#records.values()].sort((left, right) => left.name < right.name ? -1 : 1);
  }

  /** Returns the record of a name, exactly as it is spelled. */
  get(name: string): ImageRecord | undefined {
    return this.#records.get(name);
  }

  /** Adds a record, or replaces it. */
  put(name: string, target: Target, labels: Readonly<Record<string, string>> = MANAGED): void {
    const change = this.#records.has(name) ? "update" : "create";
    this.#records.set(name, { name, labels, target });
    this.#changed(change, name);
  }

  /** Stores what a pull leaves behind: a record of the reference, of the digest, and of the id. */
  addPulled(reference: FakeReference, image: FakeImage): void {
    const byDigest = `${reference.name}@${image.digest}`;
    const asked = recordName(reference);
    const target = this.keep(image);
    // The reference's is written twice, as its event shows.
    for (const name of [asked, image.id, asked]) this.put(name, target);
    if (asked !== byDigest) this.put(byDigest, target);
  }

  /** Stores an image without a name, and returns what a record of it names. */
  keep(image: FakeImage): Target {
    this.#images.set(image.digest, image);
    return { mediaType: MANIFEST, digest: image.digest, size: 425n };
  }

  /** Removes a record, and the image with its last one. */
  remove(name: string): void {
    const digest = this.#records.get(name)?.target.digest;
    if (digest === undefined) return;
    this.#records.delete(name);
    this.#changed("delete", name);
    if (![...this.#records.values()].some(({ target }) => target.digest === digest)) this.#images.delete(digest);
  }

  /** Removes every record of an image, as the kubelet's garbage collection does. */
  removeAll(id: string): void {
    for (const { name } of this.#recordsOf(id)) this.remove(name);
  }

  /** Reports whether any image in the store has this layer. */
  hasLayer(layer: string): boolean {
    return [...this.#images.values()].some(({ layers }) => layers.some(({ id }) => id === layer));
  }

  /** Returns the image that CRI finds by a reference, an id, or the beginning of an id. */
  status(text: string): CriImage | undefined {
    const id = this.#idOf(text);
    if (id === undefined) return undefined;
    const names = this.#recordsOf(id).map(({ name }) => name).filter((name) => name !== id);
    const parsed = names.map((name) => [name, parseFakeReference(name)] as const);
    const sizes = [...this.#images.values()].find((image) => image.id === id)?.layers ?? [];
    return {
      id,
      repoTags: parsed.filter(([, reference]) => reference?.tag !== undefined).map(([name]) => name),
      repoDigests: parsed.filter(([, reference]) => reference?.digest !== undefined).map(([name]) => name),
      size: BigInt(sizes.reduce((sum, { bytes }) => sum + bytes, 494)),
    };
  }

  #recordsOf(id: string): ImageRecord[] {
    return this.list().filter(({ target }) => this.#images.get(target.digest)?.id === id);
  }

  #idOf(text: string): string | undefined {
    const ids = [...new Set(this.list().map(({ target }) => this.#images.get(target.digest)?.id))];
    if (/^sha256:[0-9a-f]{64}$/.test(text)) return ids.find((id) => id === text);
    const reference = parseFakeReference(text);
    const record = reference === undefined ? undefined : this.get(recordName(reference));
    if (record !== undefined) return this.#images.get(record.target.digest)?.id;
    if (!/^(?:sha256:)?[0-9a-f]+$/.test(text)) return undefined;
    return ids.find((id) => id?.startsWith(text.startsWith("sha256:") ? text : `sha256:${text}`));
  }
}

/** Returns the name of a reference's record: a digest leaves the tag out. */
export function recordName({ name, tag, digest }: FakeReference): string {
  return digest === undefined ? `${name}:${tag ?? "latest"}` : `${name}@${digest}`;
}

/** Returns the digest of a layer, which the fake images have only the beginning of. */
export function layerDigest(id: string): string {
  return `sha256:${id}${createHash("sha256").update(id).digest("hex")}`.slice(0, "sha256:".length + 64);
}
