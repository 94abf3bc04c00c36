// Rows of text in columns that fit a width. Nothing is cut: text too long for its column continues
// on the next line.

import { printable, wrap } from "./text.ts";

/** One row: a text for each column, and optionally a note below them. */
export interface Row {
  readonly cells: readonly string[];
  readonly note?: string;
}

/**
 * Columns with their titles. `shrinkable` lists the columns that may be narrower than their text;
 * the widest shrinks first.
 */
export interface Table {
  readonly titles: readonly string[];
  readonly rows: readonly Row[];
  readonly shrinkable: readonly number[];
  /** The column under which notes begin. */
  readonly noteColumn: number;
}

const GAP = 2;

/** The width below which a column is not shrunk. */
const NARROWEST = 16;

/** The width of a line of this table when nothing is wrapped, in characters. */
export function naturalWidth({ titles, rows }: Table): number {
  return sum(naturalWidths(titles, rows)) + GAP * (titles.length - 1);
}

/**
 * Returns the lines of a table, `width` characters wide. Lines are longer only if the columns
 * cannot shrink enough.
 */
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
