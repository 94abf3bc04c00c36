// Rows of text in columns that fit a width. Nothing is cut away: what does not fit its column goes on in the next line.

import { printable } from "./text.ts";

/** One row: a text for each column, and perhaps a sentence that stands below them. */
export interface Row {
  readonly cells: readonly string[];
  readonly note?: string;
}

/** Columns with their titles; `yields` says which may be narrower than their texts, the widest of them first. */
export interface Sheet {
  readonly titles: readonly string[];
  readonly rows: readonly Row[];
  readonly yields: readonly number[];
  /** The column below which notes begin. */
  readonly notesBelow: number;
}

const GAP = 2;

/** A column that yields stays at least this wide. */
const NARROWEST = 16;

/** Characters that a line of this sheet takes when nothing is wrapped. */
export function naturalWidth({ titles, rows }: Sheet): number {
  return sum(naturalWidths(titles, rows)) + GAP * (titles.length - 1);
}

/** The lines of a sheet in `width` characters. Only a width that is too small for the unyielding columns is exceeded. */
export function sheetLines({ titles, rows, yields, notesBelow }: Sheet, width: number): string[] {
  const widths = naturalWidths(titles, rows);
  const widest = () => yields.reduce((best, column) => widths[column]! > widths[best]! ? column : best, yields[0]!);
  for (let excess = sum(widths) + GAP * (titles.length - 1) - width; excess > 0 && yields.length > 0; excess--) {
    if (widths[widest()]! <= NARROWEST) break;
    widths[widest()]!--;
  }
  const indent = sum(widths.slice(0, notesBelow)) + GAP * notesBelow;
  return [
    ...rowLines(titles, widths),
    ...rows.flatMap(({ cells, note }) => [
      ...rowLines(cells, widths),
      ...(note ? wrap(printable(note), width - indent).map((line) => " ".repeat(indent) + line) : []),
    ]),
  ];
}

/** Cuts a text into lines of at most `width` characters: between words, or behind / @ : - _ . of a long name. */
export function wrap(text: string, width: number): string[] {
  const room = Math.max(1, width);
  const lines: string[] = [];
  let rest = text;
  while (rest.length > room) {
    const cut = cutAt(rest, room);
    lines.push(rest.slice(0, cut).trimEnd());
    rest = rest.slice(cut).trimStart();
  }
  return [...lines, rest];
}

function cutAt(text: string, room: number): number {
  const space = text.lastIndexOf(" ", room);
  if (space > 0) return space;
  for (const marks of [/[/@]/, /:/, /[_.-]/]) {
    for (let at = room; at > room / 2; at--) if (marks.test(text[at - 1]!)) return at;
  }
  return room;
}

function rowLines(cells: readonly string[], widths: readonly number[]): string[] {
  const wrapped = cells.map((cell, column) => wrap(printable(cell), widths[column]!));
  const height = Math.max(...wrapped.map((lines) => lines.length));
  return Array.from(
    { length: height },
    (_, line) => wrapped.map((lines, column) => (lines[line] ?? "").padEnd(widths[column]! + GAP)).join("").trimEnd(),
  );
}

function naturalWidths(titles: readonly string[], rows: readonly Row[]): number[] {
  const widths = titles.map((title) => title.length);
  for (const { cells } of rows) {
    for (const [column, cell] of cells.entries()) {
      widths[column] = Math.max(widths[column]!, printable(cell).length);
    }
  }
  return widths;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
