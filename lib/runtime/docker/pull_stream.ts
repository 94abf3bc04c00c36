// The progress of a pull as the Docker Engine streams it: one JSON object per line, ended by CRLF
// (moby, pkg/jsonmessage and pkg/streamformatter). Turns bytes into typed lines and a tally,
// without sockets or clocks.

import { type Fields, isFields } from "../../support/json.ts";
import { quote } from "../../support/text.ts";
import { readLines } from "./lines.ts";

/** Thrown when the stream is not the progress of a pull: invalid JSON, or too long a line. */
export class PullStreamError extends Error {
  override name = "PullStreamError";
}

/** One line of the stream, reduced to the fields that are used. Sizes are in bytes. */
export interface PullLine {
  /** The layer (12 hexadecimal digits), or the tag in the first line. */
  readonly id?: string;
  readonly status?: string;
  readonly current?: number;
  readonly total?: number;
  /** The text of a failure that occurred after the answer began with status 200. */
  readonly error?: string;
}

const LINE_LIMIT = 1024 * 1024;
const LAYER_LIMIT = 4096;
/** The statuses of a layer that waits for the registry. */
const DOWNLOADING: ReadonlySet<string> = new Set(["Pulling fs layer", "Downloading"]);
/** The statuses of a layer that waits for the Engine's disk. */
const UNPACKING: ReadonlySet<string> = new Set(["Verifying Checksum", "Extracting"]);

/**
 * Reads the stream line by line. Blank lines are skipped; the last line needs no line feed. Throws
 * PullStreamError for a line that is longer than `lineLimit` bytes or is not a JSON object; errors
 * of `stream` pass through.
 */
export async function* readPullLines(
  stream: AsyncIterable<Uint8Array>,
  lineLimit = LINE_LIMIT,
): AsyncGenerator<PullLine, void, undefined> {
  const tooLong = () => new PullStreamError(`a line of the progress is longer than ${lineLimit} bytes`);
  for await (const text of readLines(stream, lineLimit, tooLong)) {
    const line = parsePullLine(text);
    if (line !== undefined) yield line;
  }
}

/** Parses a line; returns undefined if it is blank. Throws PullStreamError if not a JSON object. */
export function parsePullLine(text: string): PullLine | undefined {
  if (text.trim() === "") return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new PullStreamError(`a line of the progress is not JSON: ${quote(text)}`, { cause });
  }
  if (!isFields(value)) throw new PullStreamError(`a line of the progress is not an object: ${quote(text)}`);
  const detail = isFields(value.progressDetail) ? value.progressDetail : {};
  const error = errorOf(value);
  return {
    ...typeof value.id === "string" && { id: value.id },
    ...typeof value.status === "string" && { status: value.status },
    ...isSize(detail.current) && { current: detail.current },
    // While unpacking, the containerd image store counts seconds here, and sets `units`.
    ...isSize(detail.total) && detail.units === undefined && { total: detail.total },
    ...error !== undefined && { error },
  };
}

/** The summary of the lines of one pull. */
export class PullTally {
  readonly #last = new Map<string, PullLine>();
  readonly #sizes = new Map<string, number>();
  #digest: string | undefined;
  #finalStatus: string | undefined;
  #error: string | undefined;

  /**
   * Adds one line and returns whether it is progress, that is, whether it differs from the last
   * line of its layer. The containerd image store repeats unchanged lines several times a second
   * during a stall.
   */
  add(line: PullLine): boolean {
    this.#error ??= line.error;
    const status = line.status ?? "";
    if (line.id === undefined && status.startsWith("Digest: ")) this.#digest = status.slice("Digest: ".length).trim();
    if (line.id === undefined && status.startsWith("Status: ")) this.#finalStatus = status.slice("Status: ".length);
    const key = line.id ?? "";
    const last = this.#last.get(key);
    if (last === undefined && this.#last.size >= LAYER_LIMIT) {
      throw new PullStreamError(`the progress names more than ${LAYER_LIMIT} layers`);
    }
    this.#last.set(key, line);
    if (line.id !== undefined && line.total !== undefined) {
      this.#sizes.set(line.id, Math.max(line.total, this.#sizes.get(line.id) ?? 0));
    }
    return last === undefined || last.status !== line.status || last.current !== line.current ||
      last.total !== line.total || last.error !== line.error;
  }

  /**
   * Describes what holds up the layers in the Engine itself, or undefined if they wait for the
   * registry. Layers being unpacked wait for the disk. If none is downloading, waiting layers wait
   * for slots that other pulls hold (moby, distribution/xfer: a layer beyond
   * max-concurrent-downloads is `Waiting`). Neither is the registry's fault.
   */
  get stalledBy(): string | undefined {
    const statuses = new Set(this.#last.values().map((line) => line.status ?? ""));
    if (!statuses.isDisjointFrom(DOWNLOADING)) return undefined;
    if (!statuses.isDisjointFrom(UNPACKING)) return "Docker is stuck extracting layers";
    return statuses.has("Waiting") ? "its layers are waiting for a Docker download slot" : undefined;
  }

  /** The digest of the manifest or index that was served: `sha256:…`. */
  get digest(): string | undefined {
    return this.#digest;
  }

  /** The text after `Status: `, which only a complete pull has. */
  get finalStatus(): string | undefined {
    return this.#finalStatus;
  }

  /** The first failure that the stream reported. */
  get error(): string | undefined {
    return this.#error;
  }

  /** Total size of the downloaded layers in bytes; a layer that already existed has none. */
  get bytes(): number {
    return this.#sizes.values().reduce((sum, size) => sum + size, 0);
  }
}

// `errorDetail` first: `error` is deprecated since API 1.48 (moby, api/docs/CHANGELOG.md).
function errorOf(value: Fields): string | undefined {
  const detail = value.errorDetail;
  if (isFields(detail) && typeof detail.message === "string" && detail.message !== "") return detail.message;
  if (typeof value.error === "string" && value.error !== "") return value.error;
  return detail === undefined && value.error === undefined
    ? undefined
    : "the Engine reported an error without a message";
}

function isSize(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}
