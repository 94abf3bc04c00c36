// Where each local name's image came from, and which anomalies it has: one mirror merges several origins, so a name can
// silently get another image than before, or one that belongs to another origin.

/** A repair as the ledger keeps it. */
export interface Origin {
  /** The name the kubelet looks up. */
  readonly reference: string;
  /** The reference that was pulled from the mirror. */
  readonly candidate: string;
  readonly digest: string;
}

/** `digest-changed`: this tag had another digest before. `shared-image`: another origin got this very image. */
export interface Anomaly {
  readonly kind: "digest-changed" | "shared-image";
  readonly message: string;
}

/** Names that are remembered; beyond that the half that was given an image longest ago is forgotten. */
const MOST_NAMES = 10_000;

/** What this node was given so far, by name and by image. */
export class Provenance {
  readonly #byReference = new Map<string, Origin>();
  /** `repository@digest` of the mirror, and the reference that was given it first. */
  readonly #byImage = new Map<string, string>();

  /** Notes a repair; the newest one about a reference counts. */
  learn(origin: Origin): void {
    this.#byReference.delete(origin.reference);
    this.#byReference.set(origin.reference, origin);
    const image = imageOf(origin);
    if (!this.#byImage.has(image)) this.#byImage.set(image, origin.reference);
    forgetOldest(this.#byReference);
    forgetOldest(this.#byImage);
  }

  /** The anomalies in giving `origin.reference` this image; asked before it is learnt. */
  anomalies(origin: Origin): Anomaly[] {
    const { reference, candidate, digest } = origin;
    const found: Anomaly[] = [];
    const before = this.#byReference.get(reference);
    if (before !== undefined && before.digest !== digest) {
      found.push({
        kind: "digest-changed",
        message: `${reference} was ${before.digest} (from ${before.candidate}) on this node ` +
          `and is now ${digest} (from ${candidate})`,
      });
    }
    const twin = this.#byImage.get(imageOf(origin));
    if (twin !== undefined && repositoryOf(twin) !== repositoryOf(reference)) {
      found.push({
        kind: "shared-image",
        message: `${reference} and ${twin} are one image, ${imageOf(origin)}: ` +
          "the mirror keeps both origins under one path, so one of them may be the other's image",
      });
    }
    return found;
  }
}

// Many at once: to find the first of a map is slow after each deletion at its front.
function forgetOldest(map: Map<string, unknown>): void {
  if (map.size <= MOST_NAMES) return;
  for (const key of map.keys()) {
    if (map.size <= MOST_NAMES / 2) return;
    map.delete(key);
  }
}

function imageOf({ candidate, digest }: Origin): string {
  return `${repositoryOf(candidate)}@${digest}`;
}

/** The ledger is text that people may edit, so this parses nothing and throws nothing. */
function repositoryOf(reference: string): string {
  const name = reference.split("@")[0]!;
  return name.lastIndexOf(":") > name.lastIndexOf("/") ? name.slice(0, name.lastIndexOf(":")) : name;
}
