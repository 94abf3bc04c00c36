// What a command may know of the terminal it writes to.

/** Columns and rows of a stream that is a terminal; undefined when it is a pipe or a file. */
export function sizeOf(stream: { isTerminal(): boolean }): { columns: number; rows: number } | undefined {
  if (!stream.isTerminal()) return undefined;
  try {
    const { columns, rows } = Deno.consoleSize();
    // A terminal that does not know its size says 0.
    return { columns: columns || 80, rows: rows || 24 };
  } catch {
    return { columns: 80, rows: 24 };
  }
}
