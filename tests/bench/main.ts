// `deno task bench [NAME…] [--quick]`: measures, prints the tables, and writes them into tests/bench/README.md.

import { parseArgs } from "@std/cli/parse-args";
import { bigAnswer } from "./big_answer.ts";
import { detection } from "./detection.ts";
import { idleCost } from "./idle_cost.ts";
import { describeMachine, load } from "./machine.ts";
import { type Measurement, sectionOf } from "./measurement.ts";
import { proxy } from "./proxy.ts";
import { start } from "./start.ts";
import { storm } from "./storm.ts";
import { timeToRunning } from "./time_to_running.ts";

const MEASUREMENTS: readonly Measurement[] = [detection, timeToRunning, idleCost, bigAnswer, storm, start, proxy];
const README = new URL("./README.md", import.meta.url);

const HELP = `Usage: deno task bench [NAME...] [--quick]

Measures Gilly and prints a table for each of ${MEASUREMENTS.map(({ name }) => name).join(", ")};
without a NAME, all of them. What was measured replaces its own part of tests/bench/README.md.
It takes about an hour; the machine should have nothing else to do.

  --quick    fewer and shorter samples; the README stays as it is
  --help     this text

Example: deno task bench start idle_cost --quick
`;

/** Returns the text with the part between a name's markers replaced; throws if there are none. */
export function withSection(text: string, name: string, section: string): string {
  const [begin, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`README.md has no markers for ${name}`);
  return `${text.slice(0, from + begin.length)}\n\n${section}\n\n${text.slice(to)}`;
}

async function main(argv: readonly string[]): Promise<number> {
  const flags = parseArgs(argv, { boolean: ["quick", "help"] });
  const unknown = Object.keys(flags).filter((flag) => !["_", "quick", "help"].includes(flag));
  const wanted = flags._.map(String);
  const strangers = wanted.filter((name) => !MEASUREMENTS.some((measurement) => measurement.name === name));
  if (flags.help || unknown.length > 0 || strangers.length > 0) {
    const isMistake = !flags.help;
    if (isMistake) console.error(`bench: unknown: ${[...unknown.map((flag) => `--${flag}`), ...strangers].join(", ")}`);
    (isMistake ? console.error : console.log)(HELP);
    return isMistake ? 64 : 0;
  }
  const say = (text: string) => console.error(`bench: ${text}`);
  if (load() > 0.5) say(`the machine is busy (load ${load().toFixed(1)}): the numbers will be too high`);
  const machine = await describeMachine();
  let failed = 0;
  for (const measurement of MEASUREMENTS) {
    if (wanted.length > 0 && !wanted.includes(measurement.name)) continue;
    const missing = measurement.missing();
    if (missing.length > 0) {
      say(`${measurement.name} skipped: missing ${missing.join(", ")}`);
      if (wanted.length > 0) failed++;
      continue;
    }
    const quick = flags.quick === true;
    const section = sectionOf(measurement.title, await measurement.run({ quick, say }), machine);
    console.log(`${section}\n`);
    if (!quick) {
      await Deno.writeTextFile(README, withSection(await Deno.readTextFile(README), measurement.name, section));
    }
  }
  return failed === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
