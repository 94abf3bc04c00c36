// Rows of text in columns that fit a width. Nothing is cut away: what does not fit its column goes on in the next line.

import { printable, wrap } from "./text.ts";

/** One row: a text for each column, and perhaps a sentence that stands below them. */
export interface Row {
  readonly cells: readonly string[];
  readonly note?: string;
}

/** Columns with their titles; `shrinkable` names those that may be narrower than their texts, the widest of them first. */
export interface Table {
  readonly titles: readonly string[];
  readonly rows: readonly Row[];
  readonly shrinkable: readonly number[];
  /** The column under which notes begin. */
  readonly noteColumn: number;
}

const GAP = 2;

/** A shrinkable column stays at least this wide. */
const NARROWEST = 16;

/** Characters that a line of this table takes when nothing is wrapped. */
export function naturalWidth({ titles, rows }: Table): number {
  return sum(naturalWidths(titles, rows)) + GAP * (titles.length - 1);
}

/** The lines of a table in `width` characters. Only a width that is too small for the other columns is exceeded. */
export function tableLines({ titles, rows, shrinkable, noteColumn }: Table, width: number): string[] {
  const widths = naturalWidths(titles, rows);
  const widest = () =>
    shrinkable.reduce((best, column) => widths[column]! > widths[best]! ? column : best, shrinkable[0]!);
  for (let excess = sum(widths) + GAP * (titles.length - 1) - width; excess > 0 && shrinkable.length > 0; excess--) {
    if (widths[widest()]! <= NARROWEST) break;
    widths[widest()]!--;
  }
  const indent = sum(widths.slice(0, noteColumn)) + GAP * noteColumn;
  return [
    ...rowLines(titles, widths),
    ...rows.flatMap(({ cells, note }) => [
      ...rowLines(cells, widths),
      ...(note ? wrap(printable(note), width - indent).map((line) => " ".repeat(indent) + line) : []),
    ]),
  ];
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
