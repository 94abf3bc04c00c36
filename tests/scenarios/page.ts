// tests/README.md, where each run leaves its table.

import { PROJECT } from "../../tools/deno.ts";
import { type ScenarioRow, tableOf, withSection } from "./table.ts";

const PAGE = `${PROJECT}tests/README.md`;

/** The sections of the page; each is written by the task of its name. */
export type Section = "faults" | "load" | "security" | "fuzz" | "soak";

/** Puts the rows of a run into their section and formats the page. */
export async function writeSection(section: Section, rows: readonly ScenarioRow[]): Promise<void> {
  const date = new Date().toISOString().slice(0, 10);
  const page = await Deno.readTextFile(PAGE);
  await Deno.writeTextFile(PAGE, withSection(page, section, tableOf(rows, date)));
  const { success } = await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", PAGE] }).output();
  if (!success) throw new Error(`deno fmt does not like ${PAGE}`);
}
