// Rows as aligned columns of plain text.

/** The rows under their headings, columns two spaces apart, without trailing space; ends with a newline. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [headings, ...rows];
  const widths = headings.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const padded = lines.map((line) => line.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd());
  return padded.map((line) => `  ${line}\n`).join("");
}
