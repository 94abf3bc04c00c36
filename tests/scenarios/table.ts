// The table of scenarios, as Markdown between two markers of a page.

/** Whether a scenario ran on the real program or on a fake that behaves like it. */
export type Means = "real" | "stand-in";

/** One row: what was done to what, what must be true, and the last result. */
export interface ScenarioRow {
  /** What it was done to: Docker, kubelet, mirror, Gilly, … */
  readonly subject: string;
  readonly what: string;
  readonly means: Means;
  readonly holds: string;
  readonly result: "passed" | "failed" | "not run";
  readonly seconds: number;
}

/**
 * Returns the rows as a table, sorted by subject, real ones first, and a last line that counts
 * them; `date` is the day of the run, `YYYY-MM-DD`.
 */
export function tableOf(rows: readonly ScenarioRow[], date: string): string {
  const head = "| to | what is done | on | what holds | result | seconds |\n| - | - | - | - | - | -: |\n";
  const sorted = [...rows].sort((left, right) => compare(keyOf(left), keyOf(right)));
  const lines = sorted.map(({ subject, what, means, holds, result, seconds }) =>
    `| ${[subject, what, means, holds, result, seconds.toFixed(1)].map(cell).join(" | ")} |\n`
  );
  const counted = (result: ScenarioRow["result"]) => rows.filter((row) => row.result === result).length;
  const parts = [`${counted("passed")} passed`];
  if (counted("failed") > 0) parts.push(`${counted("failed")} FAILED`);
  if (counted("not run") > 0) parts.push(`${counted("not run")} not run because a requirement is missing`);
  return `${head}${lines.join("")}\nLast run ${date}: ${parts.join(", ")}.`;
}

/** Returns the page with `text` between the section's markers; throws if they are missing. */
export function withSection(page: string, section: string, text: string): string {
  const [begin, end] = [`<!-- ${section}: begin -->`, `<!-- ${section}: end -->`];
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new TypeError(`the page has no section between ${begin} and ${end}`);
  return `${page.slice(0, from + begin.length)}\n\n${text}\n\n${page.slice(to)}`;
}

function keyOf({ subject, means, what }: ScenarioRow): string {
  return [subject, means, what].join("\0");
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replace(/\s+/g, " ").trim();
}
