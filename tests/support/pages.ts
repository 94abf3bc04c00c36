// The pages that people read, and the commands in them: blocks that are indented by four spaces, and code in a line.

import { PROJECT } from "../../tools/deno.ts";

/** Every page with commands in it; paths in the project. */
export const PAGES = [
  "README.md",
  "docs/credentials.md",
  "docs/operations.md",
  "docs/troubleshooting.md",
  "docs/security.md",
  "docs/monitoring.md",
];

/** The text of a file of the project. */
export function readPage(file: string): string {
  return Deno.readTextFileSync(PROJECT + file);
}

/** The indented block behind the paragraph that begins with `words`; throws when there is none. */
export function blockBehind(page: string, words: string): string {
  const start = page.indexOf(`\n${words}`);
  const block = start < 0 ? null : /\n\n((?: {4}.*\n|\n(?= {4}))+)/.exec(page.slice(start + 1));
  if (block === null) throw new Error(`no block stands behind ${JSON.stringify(words)}`);
  return block[1]!.replace(/^ {4}/gm, "");
}

/** Every command line of `gilly` in a page, as the words behind the name; `…` and remarks are left out. */
export function gillyCommandsIn(page: string): string[][] {
  const lines = [...page.matchAll(/(?:^ {4}|`)(gilly(?: [^`\n]*)?)(?:`|$)/gm)].map(([, line = ""]) => line);
  return lines.map((line) => line.replace(/#.*$/, "").trim().split(/\s+/).slice(1).filter((word) => word !== "…"))
    .filter((words) => words.length > 0);
}
