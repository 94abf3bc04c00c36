// The documentation pages and the commands in them: blocks indented by four spaces, and inline
// code.

import { PROJECT } from "../../tools/deno.ts";

/** The pages for contributors; paths in the project. */
export const PAPERS = [
  "ARCHITECTURE.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  ...[...Deno.readDirSync(`${PROJECT}docs/decisions`)].map(({ name }) => `docs/decisions/${name}`).sort(),
];

/** Every page with commands in it, as paths in the project. */
export const PAGES = [
  "README.md",
  "contrib/ansible/README.md",
  "contrib/cloud-init/README.md",
  "docs/credentials.md",
  "docs/fleet.md",
  "docs/operations.md",
  "docs/proxy.md",
  "docs/troubleshooting.md",
  "docs/security.md",
  "docs/monitoring.md",
  "docs/verify.md",
];

/** Returns the text of a file of the project. */
export function readPage(file: string): string {
  return Deno.readTextFileSync(PROJECT + file);
}

/**
 * Returns the indented block after the paragraph that begins with `words`; throws if there is none.
 */
export function blockBehind(page: string, words: string): string {
  const start = page.indexOf(`\n${words}`);
  const block = start < 0 ? null : /\n\n((?: {4}.*\n|\n(?= {4}))+)/.exec(page.slice(start + 1));
  if (block === null) throw new Error(`no block follows ${JSON.stringify(words)}`);
  return block[1]!.replace(/^ {4}/gm, "");
}

/** Returns the words after `gilly` of every command line in a page, without `…` and remarks. */
export function gillyCommandsIn(page: string): string[][] {
  const lines = [...page.matchAll(/(?:^ {4}|`)(gilly(?: [^`\n]*)?)(?:`|$)/gm)].map(([, line = ""]) => line);
  return lines.map((line) => line.replace(/#.*$/, "").trim().split(/\s+/).slice(1).filter((word) => word !== "…"))
    .filter((words) => words.length > 0);
}
