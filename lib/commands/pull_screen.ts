// Shows the progress of `gilly pull`: bars in place on a terminal, lines elsewhere. It observes
// repairs and writes to one stream; results are printed by the caller, above the bars.

import type { Candidate } from "../images/rules.ts";
import type { CandidateAttempt } from "../plan/outcome.ts";
import type { Target } from "../plan/plan.ts";
import type { Observer } from "../repair/observer.ts";
import type { PullProgress } from "../runtime/runtime.ts";
import { hangingIndent, printable } from "../support/text.ts";
import { sizeOf } from "./environment.ts";
import { LiveRegion, PlainProgress, PullBoard } from "./pull_progress.ts";

/** Milliseconds between redraws: often enough to show motion, and cheap. */
const FRAME_MS = 100;

/** The part of a terminal, a pipe or a file that is used. */
export interface Stream {
  isTerminal(): boolean;
  writeSync(bytes: Uint8Array): number;
}

/** Shows the progress of repairs. */
export class PullScreen implements Observer {
  readonly #stream: Stream;
  readonly #quiet: boolean;
  readonly #isLive: boolean;
  readonly #board = new PullBoard();
  readonly #region = new LiveRegion();
  readonly #plain = new PlainProgress();
  readonly #timer: ReturnType<typeof setInterval> | undefined;

  /** `plain` writes lines even on a terminal; `quiet` omits progress where there are no bars. */
  constructor(stream: Stream, options: { readonly plain: boolean; readonly quiet: boolean }) {
    this.#stream = stream;
    this.#isLive = stream.isTerminal() && !options.plain;
    this.#quiet = options.quiet;
    this.#timer = this.#isLive ? setInterval(() => this.#draw(), FRAME_MS) : undefined;
  }

  pulling({ image }: Target, { reference }: Candidate): void {
    this.#board.begin(image, printable(`${image} from ${reference}`));
    this.#step(`${image}: pulling ${reference}`);
  }

  progress({ image }: Target, _candidate: Candidate, progress: PullProgress): void {
    const line = this.#plain.line(image, progress);
    this.#board.advance(image, { ...progress, layer: printable(progress.layer) });
    if (line !== undefined) this.#step(line);
  }

  candidateFailed({ image }: Target, { message }: CandidateAttempt): void {
    this.#board.end(image);
    this.note(`${image}: no image: ${message}`);
  }

  tagged({ image }: Target): void {
    this.#board.end(image);
  }

  /** Prints a permanent line; on a terminal it is wrapped with a hanging indent behind `head`. */
  note(text: string, head = ""): void {
    const width = this.#isLive ? this.#size().columns : undefined;
    const lines = hangingIndent(head, printable(text), width);
    this.above(() => this.write(lines.map((line) => `${line}\n`).join("")));
  }

  /** Calls `print`, which may write complete lines to the same terminal, above the bars. */
  above(print: () => void): void {
    if (this.#isLive) this.write(this.#region.redraw([], this.#size().columns));
    print();
    if (this.#isLive) this.#draw();
  }

  /** Writes text unchanged. A reader that went away does not end the pulls. */
  write(text: string): void {
    const bytes = new TextEncoder().encode(text);
    try {
      for (let written = 0; written < bytes.byteLength;) written += this.#stream.writeSync(bytes.subarray(written));
    } catch {
      // There is nowhere left to report it.
    }
  }

  /** Removes the bars. */
  close(): void {
    clearInterval(this.#timer);
    if (this.#isLive) this.write(this.#region.redraw([], this.#size().columns));
  }

  /** Writes a line of progress if no bar shows it. */
  #step(line: string): void {
    if (!this.#isLive && !this.#quiet) this.write(`${printable(line)}\n`);
  }

  #draw(): void {
    const size = this.#size();
    const lines = this.#board.lines(size);
    if (!this.#region.shows(lines)) this.write(this.#region.redraw(lines, size.columns));
  }

  #size(): { columns: number; rows: number } {
    return sizeOf(this.#stream) ?? { columns: 80, rows: 24 };
  }
}
