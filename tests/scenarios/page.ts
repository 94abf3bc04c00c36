// tests/README.md, into which each run writes its table.

import { PROJECT } from "../../tools/deno.ts";
import { type ScenarioRow, tableOf, withSection } from "./table.ts";

const PAGE = `${PROJECT}tests/README.md`;

/** The sections of the page; the task of the same name writes each. */
export type Section = "faults" | "load" | "security" | "fuzz" | "soak";

/** Writes the rows of a run into their section and formats the page. */
export async function writeSection(section: Section, rows: readonly ScenarioRow[]): Promise<void> {
  const date = new Date().toISOString().slice(0, 10);
  const page = await Deno.readTextFile(PAGE);
  await Deno.writeTextFile(PAGE, withSection(page, section, tableOf(rows, date)));
  const { success } = await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", PAGE] }).output();
  if (!success) throw new Error(`deno fmt failed on ${PAGE}`);
}
