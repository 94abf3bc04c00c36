// The progress of a pull as the Docker Engine streams it: one JSON object a line, ended CRLF. Bytes in, typed lines and
// a tally out; it knows neither sockets nor clocks. (moby, pkg/jsonmessage and pkg/streamformatter)

import { type Fields, isFields } from "../../support/json.ts";
import { quote } from "../../support/text.ts";
import { readLines } from "./lines.ts";

/** What arrived is not the progress of a pull: no JSON, an endless line, or a line that breaks off. */
export class PullStreamError extends Error {
  override name = "PullStreamError";
}

/** One line of the stream, reduced to what is used of it. Sizes are bytes. */
export interface PullLine {
  /** The layer (12 hexadecimal digits), or the tag in the opening line. */
  readonly id?: string;
  readonly status?: string;
  readonly current?: number;
  readonly total?: number;
  /** The text of a failure after the answer began with 200. */
  readonly error?: string;
}

const LINE_LIMIT = 1024 * 1024;
const LAYER_LIMIT = 4096;
/** What a layer says while the registry owes it something. */
const DOWNLOADING: ReadonlySet<string> = new Set(["Pulling fs layer", "Downloading"]);
/** What a layer says while the Engine's own disk owes it something. */
const UNPACKING: ReadonlySet<string> = new Set(["Verifying Checksum", "Extracting"]);

/**
 * Reads the stream line by line; blank lines are passed over, a last line needs no line end. A line longer than
 * `lineLimit` bytes and anything that is not a JSON object throw PullStreamError; errors of `stream` pass through.
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

/** One line as text; undefined for a blank one. Throws PullStreamError when it is not a JSON object. */
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
    // While it unpacks, the containerd image store counts seconds here, and says so.
    ...isSize(detail.total) && detail.units === undefined && { total: detail.total },
    ...error !== undefined && { error },
  };
}

/** What the lines of one pull amount to. */
export class PullTally {
  readonly #last = new Map<string, PullLine>();
  readonly #sizes = new Map<string, number>();
  #digest: string | undefined;
  #finalStatus: string | undefined;
  #error: string | undefined;

  /**
   * Takes one line and tells whether it is progress: whether it differs from the last line of its layer. The
   * containerd image store repeats unchanged lines several times a second while nothing moves.
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
   * What the Engine itself holds the layers up with, in words, or undefined when it is the registry's turn. Layers that
   * unpack wait for a disk, and layers that wait while none is under way wait for slots that other pulls have: neither
   * says anything of the registry. (moby, distribution/xfer: a layer beyond max-concurrent-downloads is `Waiting`)
   */
  get stalledBy(): string | undefined {
    const statuses = new Set(this.#last.values().map((line) => line.status ?? ""));
    if (!statuses.isDisjointFrom(DOWNLOADING)) return undefined;
    if (!statuses.isDisjointFrom(UNPACKING)) return "Docker is stuck extracting layers";
    return statuses.has("Waiting") ? "its layers are waiting for a Docker download slot" : undefined;
  }

  /** `sha256:…` of the manifest or index that was served. */
  get digest(): string | undefined {
    return this.#digest;
  }

  /** The text after `Status: `, which only a complete pull ends in. */
  get finalStatus(): string | undefined {
    return this.#finalStatus;
  }

  /** The first failure that the stream told. */
  get error(): string | undefined {
    return this.#error;
  }

  /** Sum of the sizes of the layers that were downloaded; a layer that was there already has none. */
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
