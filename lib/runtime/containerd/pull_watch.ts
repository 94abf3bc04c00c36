// Watches what containerd does during a pull, of which it reports nothing itself: the contents that
// it writes, and the layers that it unpacks.

import { sleep } from "../../support/timeouts.ts";
import type { PullProgress } from "../runtime.ts";
import type { ContainerdConnection } from "./connection.ts";
import { readCriConfig } from "./cri_config.ts";
import { Content } from "./messages/content_pb.ts";
import { RuntimeService } from "./messages/cri_pb.ts";
import { Snapshots } from "./messages/snapshots_pb.ts";
import { LayerProgress } from "./progress.ts";

/** Milliseconds between two looks. */
const LOOK_MS = 400;

/** Milliseconds for the list of what is being unpacked. */
const LIST_MS = 2000;

/** Milliseconds that the last layers may take to unpack, while nothing is written. */
const UNPACK_MS = 15 * 60_000;

/** The snapshots into which layers are unpacked (containerd, unpacker.go: `extract-NANOSECONDS-…`). */
const UNPACKING = 'kind==active,name~="^extract-"';

/** CRI's default (containerd, docs/cri/config.md). */
const USUAL_SNAPSHOTTER = "overlayfs";

/** What a watch needs, and whom it tells. */
export interface PullWatchOptions {
  readonly connection: ContainerdConnection;
  /** See ContainerdConnection. */
  readonly attempt: string;
  /** Called whenever the pull has made progress, with what is new of its layers. */
  readonly onProgress: (news: readonly PullProgress[]) => void;
}

/** The watch of one pull. What other pulls do at the same time cannot be told apart from it. */
export class PullWatch {
  readonly #options: PullWatchOptions;
  readonly #progress = new LayerProgress();
  #snapshotter: string | undefined;
  /** Snapshots that were there before: of another pull, or left over from a crash. */
  #before: ReadonlySet<string> | undefined;
  #unpackingMs = 0;

  constructor(options: PullWatchOptions) {
    this.#options = options;
  }

  /** The sizes of all layers that were written. */
  get bytes(): number {
    return this.#progress.bytes;
  }

  /** Looks until the signal is aborted. Never throws: the pull itself reports what is wrong. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#look(signal).catch(() => {});
      await sleep(LOOK_MS, signal);
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { connection, attempt, onProgress } = this.#options;
    const [{ statuses }, before] = await Promise.all([
      connection.unary(attempt, Content.method.listStatuses, {}, { signal }),
      this.#before ?? this.#unpacking(signal).then((names) => this.#before = new Set(names)),
    ]);
    const news = this.#progress.update(statuses);
    if (news.length > 0) {
      this.#unpackingMs = 0;
      return onProgress(news);
    }
    if (statuses.length > 0 || this.#unpackingMs >= UNPACK_MS) return;
    if ((await this.#unpacking(signal)).every((name) => before.has(name))) return;
    this.#unpackingMs += LOOK_MS;
    onProgress([]);
  }

  /** Returns the snapshots into which layers are unpacked now; none if nothing tells. */
  async #unpacking(signal: AbortSignal): Promise<string[]> {
    const { connection, attempt } = this.#options;
    const names: string[] = [];
    const inTime = AbortSignal.any([signal, AbortSignal.timeout(LIST_MS)]);
    try {
      this.#snapshotter ??= await this.#askSnapshotter(inTime);
      const request = { snapshotter: this.#snapshotter, filters: [UNPACKING] };
      for await (const { info } of connection.stream(attempt, Snapshots.method.list, request, inTime)) {
        names.push(...info.map(({ name }) => name));
      }
    } catch {
      // What is written is still seen.
    }
    return names;
  }

  async #askSnapshotter(signal: AbortSignal): Promise<string> {
    const { connection, attempt } = this.#options;
    const { info } = await connection.unary(attempt, RuntimeService.method.status, { verbose: true }, { signal });
    return readCriConfig(info["config"]).snapshotter ?? USUAL_SNAPSHOTTER;
  }
}
