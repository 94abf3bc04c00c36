// Where the image of each local name came from, and its anomalies: a mirror may merge several
// origins, so a name can silently get a different image than before, or one that belongs to another
// origin.

/** A repair, as recorded in the ledger. */
export interface Origin {
  /** The name the kubelet looks up. */
  readonly reference: string;
  /** The reference that was pulled from the mirror. */
  readonly candidate: string;
  readonly digest: string;
}

/**
 * `digest-changed`: this tag had another digest before. `shared-image`: another origin got the same
 * image.
 */
export interface Anomaly {
  readonly kind: "digest-changed" | "shared-image";
  readonly message: string;
}

/** The most names kept; beyond it, the older half is forgotten. */
const MOST_NAMES = 10_000;

/** What this node has pulled so far, by name and by image. */
export class Provenance {
  readonly #byReference = new Map<string, Origin>();
  /** `repository@digest` of the mirror -> the first reference that got it. */
  readonly #byImage = new Map<string, string>();

  /** Records a repair; it replaces an earlier one of the same reference. */
  learn(origin: Origin): void {
    this.#byReference.delete(origin.reference);
    this.#byReference.set(origin.reference, origin);
    const image = imageOf(origin);
    if (!this.#byImage.has(image)) this.#byImage.set(image, origin.reference);
    forgetOldest(this.#byReference);
    forgetOldest(this.#byImage);
  }

  /** Returns the anomalies of giving `origin.reference` this image; call it before learn(). */
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

// Deletes many keys at once: finding the first key of a Map is slow after deletions at its front.
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

/**
 * Returns the reference without tag and digest. People may edit the ledger, so this does not parse
 * strictly and never throws.
 */
function repositoryOf(reference: string): string {
  const name = reference.split("@")[0]!;
  return name.lastIndexOf(":") > name.lastIndexOf("/") ? name.slice(0, name.lastIndexOf(":")) : name;
}
