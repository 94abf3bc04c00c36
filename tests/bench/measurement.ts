// The common parts of the measurements: statistics of samples, and results as sections of the
// README.

/** Options of a run. */
export interface RunOptions {
  /** Takes fewer and shorter samples, for a quick check; not for the README. */
  readonly quick: boolean;
  /** Reports progress to the user. */
  readonly say: (text: string) => void;
}

/** A limit, and the measured value. */
export interface Aim {
  readonly what: string;
  readonly measured: number;
  readonly limit: number;
  /** The unit after both numbers; a ratio has none. */
  readonly unit: string;
  /** Digits after the point; 0 by default. */
  readonly digits?: number;
}

/** The result of a measurement. */
export interface Finding {
  /** How it was measured, in a sentence or two. */
  readonly method: string;
  readonly headings: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly aims: readonly Aim[];
  /** Further remarks, one or two sentences each. */
  readonly notes: readonly string[];
}

/** One thing that `deno task bench NAME` can measure. */
export interface Measurement {
  readonly name: string;
  readonly title: string;
  /** What this machine lacks for it, in words. */
  missing(): readonly string[];
  run(options: RunOptions): Promise<Finding>;
}

/** Returns the middle of the sorted samples, or the mean of the two in the middle. */
export function median(samples: readonly number[]): number {
  return (quantile(samples, 0.5, Math.floor) + quantile(samples, 0.5, Math.ceil)) / 2;
}

/** Returns the quantile `q` of the samples; between two samples, `round` picks one (the upper). */
export function quantile(samples: readonly number[], q: number, round = Math.ceil): number {
  const sorted = samples.toSorted((left, right) => left - right);
  const found = sorted[round(q * (sorted.length - 1))];
  if (found === undefined) throw new RangeError("there are no samples");
  return found;
}

/** Formats a number with that many digits after the point, and commas between thousands. */
export function fixed(value: number, digits = 0): string {
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** Formats bytes as megabytes (10^6), with one digit after the point. */
export function megabytes(bytes: number): string {
  return fixed(bytes / 1e6, 1);
}

/** Returns the finding as Markdown with its own heading; `machine` gives machine and date. */
export function sectionOf(title: string, finding: Finding, machine: string): string {
  const aims = finding.aims.map(({ what, measured, limit, unit, digits = 0 }) => {
    const [got, most] = [measured, limit].map((value) => `${fixed(value, digits)}${unit}`);
    const verdict = measured <= limit ? "met" : "**missed**";
    return `- ${what}: ${got}, at most ${most} wanted: ${verdict}`;
  });
  const notes = finding.notes.map((note) => `- ${note}`);
  return [
    `## ${title}`,
    "",
    ...wrapped(finding.method),
    "",
    ...tableOf(finding.headings, finding.rows),
    "",
    ...[...aims, ...notes].flatMap((line) => wrapped(line)),
    "",
    ...wrapped(`_${machine}_`),
  ].join("\n");
}

/** Returns a Markdown table with aligned columns, numbers on the right. */
export function tableOf(headings: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => (row[column] ?? "").length))
  );
  const isNumber = headings.map((_, column) => rows.every((row) => /^[-\d.,]*( %)?$/.test(row[column] ?? "")));
  const line = (cells: readonly string[]) =>
    `| ${
      widths.map((width, column) => {
        const cell = cells[column] ?? "";
        return isNumber[column] ? cell.padStart(width) : cell.padEnd(width);
      }).join(" | ")
    } |`;
  const rule = widths.map((width, column) => isNumber[column] ? `${"-".repeat(width - 1)}:` : "-".repeat(width));
  return [line(headings), `| ${rule.join(" | ")} |`, ...rows.map(line)];
}

/** Wraps a text at 120 characters and indents the continuation lines of a list item. */
function wrapped(text: string): string[] {
  const indent = text.startsWith("- ") ? "  " : "";
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1)!;
    if (line.length + word.length + 1 <= 120 || line.trim() === "") {
      lines[lines.length - 1] = `${line}${line.trim() && " "}${word}`;
    } else lines.push(`${indent}${word}`);
  }
  return lines;
}
