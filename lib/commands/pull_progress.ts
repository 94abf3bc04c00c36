// The progress of pulls: a board with a bar for each layer, the region of a terminal where it is
// drawn, and plain lines where there is no terminal. Pure: it returns what to write, and writes
// nothing.

import type { PullProgress } from "../runtime/runtime.ts";
import { sizeText } from "../support/units.ts";

/**
 * The state of a layer, in one word. Docker has more states (moby, distribution/pull_v2.go), and
 * they differ between its image stores.
 */
type LayerState = "waiting" | "retrying" | "downloading" | "downloaded" | "extracting" | "done" | "here";

const STATES: readonly (readonly [RegExp, LayerState])[] = [
  [/^Downloading/, "downloading"],
  [/^(?:Verifying|Download complete)/, "downloaded"],
  [/^Extracting/, "extracting"],
  [/^Pull complete/, "done"],
  [/^Already exists/, "here"],
  [/^Retrying/, "retrying"],
];

interface Layer {
  readonly state: LayerState;
  /**
   * Bytes downloaded, and the total. Extraction is counted differently, so only downloads count
   * here.
   */
  readonly current: number;
  readonly total: number;
}

/** Returns the layer after one more line of progress. */
function advanced(before: Layer | undefined, { status, current, total }: PullProgress): Layer {
  const state = STATES.find(([pattern]) => pattern.test(status))?.[1] ?? "waiting";
  const known = before ?? { current: 0, total: 0 };
  if (state === "downloading") return { state, current: current ?? known.current, total: total ?? known.total };
  const isWhole = state !== "waiting" && state !== "retrying";
  return { state, total: known.total, current: isWhole ? known.total : known.current };
}

/** The widest line, however wide the terminal. */
const WIDEST = 100;

/** The running pulls and their layers. */
export class PullBoard {
  readonly #pulls = new Map<string, { title: string; layers: Map<string, Layer> }>();

  /**
   * Adds a pull of `image`, or restarts it at another mirror. `title` is the line above its layers.
   */
  begin(image: string, title: string): void {
    this.#pulls.set(image, { title, layers: new Map() });
  }

  /** Applies one line of progress; ignores it if no pull of the image has begun. */
  advance(image: string, progress: PullProgress): void {
    const layers = this.#pulls.get(image)?.layers;
    layers?.set(progress.layer, advanced(layers.get(progress.layer), progress));
  }

  end(image: string): void {
    this.#pulls.delete(image);
  }

  /**
   * Returns the board for a terminal of this size. If it is too high, completed layers are dropped
   * first.
   */
  lines({ columns, rows }: { readonly columns: number; readonly rows: number }): string[] {
    const width = Math.min(columns - 1, WIDEST);
    const room = Math.max(1, rows - 2);
    const all = [...this.#pulls.values()];
    const whole = all.flatMap(({ title, layers }) => [title, ...[...layers].map((it) => layerLine(it, width))]);
    if (whole.length <= room) return whole.map((line) => cut(line, width));
    const busy = all.flatMap(({ title, layers }) => {
      const open = [...layers].filter(([, { state }]) => state !== "done" && state !== "here");
      return [
        `${title} (${layers.size - open.length} of ${layers.size} layers done)`,
        ...open.map((it) => layerLine(it, width)),
      ];
    });
    const shown = busy.length <= room
      ? busy
      : [...busy.slice(0, room - 1), `… and ${busy.length - room + 1} more lines`];
    return shown.map((line) => cut(line, width));
  }
}

function layerLine([id, { state, current, total }]: readonly [string, Layer], width: number): string {
  const head = `  ${id.slice(0, 12).padEnd(12)}  ${state.padEnd(11)}`;
  if (total === 0 || state === "here") return head.trimEnd();
  const amount = state === "downloading" ? `${sizeText(current)} of ${sizeText(total)}` : sizeText(total);
  const room = width - head.length - "  []  ".length - "999.9 MB of 999.9 MB".length;
  if (room < 5) return `${head}  ${amount}`;
  const filled = Math.max(0, Math.min(room, Math.round((room * current) / total)));
  const bar = filled === room ? "=".repeat(room) : `${"=".repeat(filled)}>`.slice(0, room).padEnd(room);
  return `${head}  [${bar}]  ${amount}`;
}

function cut(line: string, width: number): string {
  return line.length <= width ? line : `${line.slice(0, Math.max(0, width - 1))}…`;
}

/**
 * The last lines of a terminal, redrawn in place. The terminal's mode is never changed, so there is
 * nothing to restore: the cursor always stays below the last line. (ECMA-48: CUU, ED)
 */
export class LiveRegion {
  #shown: readonly string[] = [];

  /**
   * Returns what to write to replace the region's lines with `lines`; with none, the region is
   * gone.
   */
  redraw(lines: readonly string[], columns: number): string {
    // A terminal that became narrower has wrapped the lines it shows.
    const rows = this.#shown.reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / columns)), 0);
    this.#shown = lines;
    const back = rows === 0 ? "" : `\r\x1b[${rows}A\x1b[J`;
    return back + lines.map((line) => `${line}\n`).join("");
  }

  /** Returns whether the region shows exactly these lines. */
  shows(lines: readonly string[]): boolean {
    return lines.length === this.#shown.length && lines.every((line, index) => line === this.#shown[index]);
  }
}

/** The size from which a layer is also reported at each quarter. */
const LARGE_BYTES = 50_000_000;

/**
 * Progress as lines, for a pipe or a file: one when a layer is present, and for a large layer one
 * at each quarter.
 */
export class PlainProgress {
  readonly #layers = new Map<string, Layer & { readonly quarter: number }>();

  /** Returns the line for this progress, if any. */
  line(image: string, progress: PullProgress): string | undefined {
    const key = `${image} ${progress.layer}`;
    const before = this.#layers.get(key);
    const layer = advanced(before, progress);
    const { state, current, total } = layer;
    const quarter = total < LARGE_BYTES ? 0 : Math.floor((4 * current) / total);
    this.#layers.set(key, { ...layer, quarter });
    const subject = `${image}: layer ${progress.layer.slice(0, 12)}`;
    if (state === "here" || state === "done") {
      if (before?.state === state) return undefined;
      return `${subject} ${state}${total === 0 ? "" : ` (${sizeText(total)})`}`;
    }
    const isNews = state === "downloading" && quarter > (before?.quarter ?? 0) && quarter < 4;
    return isNews ? `${subject} ${25 * quarter} % of ${sizeText(total)}` : undefined;
  }
}
