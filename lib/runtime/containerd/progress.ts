// The progress of a pull, from the contents that containerd is writing: it tells nothing else about a
// pull under way. Pure.

import type { PullProgress } from "../runtime.ts";

/** A content that is being written, as ListStatuses shows it. */
export interface WritingStatus {
  /** `layer-sha256:…`, `manifest-sha256:…`, … */
  readonly ref: string;
  readonly offset: bigint;
  readonly total: bigint;
}

/** What was seen of the layers of one pull, or of several that run at once. */
export class LayerProgress {
  /** Bytes of each layer seen so far, and its size; by digest. */
  readonly #seen = new Map<string, { offset: number; total: number; isWriting: boolean }>();

  /** The sizes of all layers that were seen. */
  get bytes(): number {
    return [...this.#seen.values()].reduce((sum, { total }) => sum + total, 0);
  }

  /** Returns what is new in these statuses; each is progress. */
  update(statuses: readonly WritingStatus[]): PullProgress[] {
    const news: PullProgress[] = [];
    const writing = new Set<string>();
    for (const { ref, offset, total } of statuses) {
      const digest = /^layer-(sha256:[0-9a-f]{64})$/.exec(ref)?.[1];
      if (digest === undefined) continue;
      writing.add(digest);
      const before = this.#seen.get(digest);
      const now = { offset: Number(offset), total: Number(total), isWriting: true };
      if (before?.offset === now.offset) continue;
      this.#seen.set(digest, now);
      news.push({ layer: shortName(digest), status: "Downloading", current: now.offset, total: now.total });
    }
    for (const [digest, layer] of this.#seen) {
      if (!layer.isWriting || writing.has(digest)) continue;
      layer.isWriting = false;
      news.push({ layer: shortName(digest), status: "Pull complete" });
    }
    return news;
  }
}

function shortName(digest: string): string {
  return digest.slice("sha256:".length, "sha256:".length + 12);
}
