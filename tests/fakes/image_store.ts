// The image store of the fake Docker Engine: names as Docker normalizes them, and the two ways in
// which Engines look up digests. It shares no code with lib/, so that a mistake there cannot hide
// here.
import { createHash } from "node:crypto";

/** An image as a registry serves it. */
export interface FakeImage {
  /** Digest of the configuration, `sha256:…`: the image id on a classic store. */
  readonly id: string;
  /** Digest of the manifest, `sha256:…`: the image id on a containerd store. */
  readonly digest: string;
  readonly layers: readonly { readonly id: string; readonly bytes: number }[];
}

/** Returns an image that is determined by `seed` and the layer sizes in bytes. */
export function fakeImage(seed: string, layerSizes: readonly number[] = [1000, 2000]): FakeImage {
  const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
  return {
    id: `sha256:${sha256(`configuration of ${seed}`)}`,
    digest: `sha256:${sha256(`manifest of ${seed}`)}`,
    layers: layerSizes.map((bytes, index) => ({ id: sha256(`layer ${index} of ${seed}`).slice(0, 12), bytes })),
  };
}

/** A reference in its parts; `name` is canonical (`docker.io/library/nginx`). */
export interface FakeReference {
  readonly name: string;
  readonly host: string;
  readonly path: string;
  readonly tag: string | undefined;
  readonly digest: string | undefined;
}

const REFERENCE = new RegExp(
  "^(?:((?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)(?:\\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*(?::[0-9]+)?)/)?" +
    "([a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*)*)" +
    "(?::([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?$",
);

/**
 * Parses a reference as Docker does (distribution/reference, normalize.go). Returns undefined if
 * Docker would not accept it.
 */
export function parseFakeReference(text: string): FakeReference | undefined {
  const slash = text.indexOf("/");
  const first = slash < 0 ? "" : text.slice(0, slash);
  const hasHost = first === "localhost" || /[.:]/.test(first) || first !== first.toLowerCase();
  const host = !hasHost || first === "index.docker.io" ? "docker.io" : first;
  const rest = hasHost ? text.slice(slash + 1) : text;
  if (/^[0-9a-f]{64}$/.test(text) || rest === "") return undefined;
  const isOfficial = host === "docker.io" && !/^[^:@]*\//.test(rest);
  const match = REFERENCE.exec(`${host}/${isOfficial ? "library/" : ""}${rest}`);
  const path = match?.[2];
  if (match === null || match[1] !== host || path === undefined) return undefined;
  return { name: `${host}/${path}`, host, path, tag: match[3], digest: match[4] };
}

/** Returns a name as Docker shows it: `nginx` for `docker.io/library/nginx`. */
export function familiarName(name: string): string {
  const short = name.startsWith("docker.io/") ? name.slice("docker.io/".length) : name;
  return /^library\/[^/]+$/.test(short) && short !== name ? short.slice("library/".length) : short;
}

/** An image as GET /images/{name}/json describes it. */
export interface InspectedImage {
  readonly Id: string;
  readonly RepoTags: string[];
  readonly RepoDigests: string[];
}

/** The names and images of one Engine. */
export class ImageStore {
  readonly #kind: "classic" | "containerd";
  readonly #images = new Map<string, FakeImage>();
  /** Canonical name with tag -> image id; in a containerd store also names with digests. */
  readonly #tags = new Map<string, string>();
  /** Canonical name with digest -> image id; classic store only. */
  readonly #digests = new Map<string, string>();

  constructor(kind: "classic" | "containerd") {
    this.#kind = kind;
  }

  /** Number of images, named or not. */
  get size(): number {
    return this.#images.size;
  }

  /** Returns the image that a reference or an id resolves to. */
  resolve(text: string): FakeImage | undefined {
    const id = this.#idOf(text);
    return id === undefined ? undefined : this.#images.get(id);
  }

  inspect(text: string): InspectedImage | undefined {
    const id = this.#idOf(text);
    if (id === undefined) return undefined;
    const namesOf = (names: Map<string, string>) =>
      [...names].filter(([, target]) => target === id).map(([name]) => name).sort().map(familiarOf);
    const tags = namesOf(this.#tags);
    if (this.#kind === "classic") return { Id: id, RepoTags: tags, RepoDigests: namesOf(this.#digests) };
    const digests = [...new Set(tags.map((name) => `${repositoryOf(name)}@${id}`))];
    return { Id: id, RepoTags: tags, RepoDigests: digests };
  }

  /** Stores what a pull leaves behind; returns whether any name was new or moved. */
  addPulled(reference: FakeReference, image: FakeImage): boolean {
    const id = this.#keep(image);
    const byTag = `${reference.name}:${reference.tag}`;
    const byDigest = `${reference.name}@${image.digest}`;
    if (this.#kind === "containerd") {
      return this.#point(this.#tags, reference.digest === undefined ? byTag : byDigest, id);
    }
    const isNewDigest = this.#point(this.#digests, byDigest, id);
    return reference.digest === undefined && this.#point(this.#tags, byTag, id) || isNewDigest;
  }

  /** Names an image without a registry, as `docker import` and `docker load` do. */
  addTag(reference: FakeReference, image: FakeImage): void {
    this.#point(this.#tags, `${reference.name}:${reference.tag ?? "latest"}`, this.#keep(image));
  }

  /** Removes a name, and the image along with its last name. */
  remove(reference: FakeReference): void {
    const tag = `${reference.name}:${reference.tag ?? "latest"}`;
    const key = reference.digest === undefined ? tag : `${reference.name}@${reference.digest}`;
    const id = this.#tags.get(key) ?? this.#digests.get(key);
    this.#tags.delete(key);
    this.#digests.delete(key);
    if (id === undefined) return;
    if (![...this.#tags].some(([name, target]) => target === id && name.startsWith(`${reference.name}:`))) {
      for (const [name, target] of this.#digests) {
        if (target === id && name.startsWith(`${reference.name}@`)) this.#digests.delete(name);
      }
    }
    const isNamed = [...this.#tags.values(), ...this.#digests.values()].includes(id);
    if (!isNamed) this.#images.delete(id);
  }

  #keep(image: FakeImage): string {
    const id = this.#kind === "containerd" ? image.digest : image.id;
    this.#images.set(id, image);
    return id;
  }

  #point(names: Map<string, string>, name: string, id: string): boolean {
    const isNew = names.get(name) !== id;
    names.set(name, id);
    return isNew;
  }

  #idOf(text: string): string | undefined {
    if (/^sha256:[0-9a-f]{64}$/.test(text)) return this.#images.has(text) ? text : undefined;
    const reference = parseFakeReference(text);
    if (reference === undefined) return undefined;
    const { name, tag, digest } = reference;
    if (digest === undefined) {
      const found = this.#tags.get(`${name}:${tag ?? "latest"}`);
      // Docker accepts a prefix of an id, of any length, as a name.
      const isPrefix = found === undefined && tag === undefined && /^[0-9a-f]+$/.test(text);
      return isPrefix ? [...this.#images.keys()].find((id) => id.startsWith(`sha256:${text}`)) : found;
    }
    if (this.#kind === "classic") return this.#digests.get(`${name}@${digest}`);
    const isOfRepository = (record: string) => record.startsWith(`${name}:`) || record.startsWith(`${name}@`);
    return [...this.#tags].find(([record, id]) => id === digest && isOfRepository(record))?.[1];
  }
}

function familiarOf(record: string): string {
  const repository = repositoryOf(record);
  return familiarName(repository) + record.slice(repository.length);
}

function repositoryOf(record: string): string {
  return record.replace(/@.*$/, "").replace(/:[^:/]*$/, "");
}
