// `deno task fuzz [NAME…]`: the long run. Prints a line for each target, or the input that broke
// it.

import { parseArgs } from "@std/cli/parse-args";
import { writeSection } from "../scenarios/page.ts";
import type { ScenarioRow } from "../scenarios/table.ts";
import { fuzz, type Report } from "./fuzz.ts";
import { targets } from "./targets.ts";

const HELP = `Usage: deno task fuzz [NAME...] [--seconds N] [--seed N]

Throws random and damaged inputs at every module that reads what somebody else wrote. Ends with
exit code 1 at the first input that brings out anything but the module's own error, takes more than
a second, or more than 64 MB. The same seed gives the same inputs. A run over all targets leaves
its table in tests/README.md.

  NAME          targets whose name begins so; all when left out
  --seconds N   for each target (60)
  --seed N      where to begin (chance)

Example: deno task fuzz config --seconds 600
`;

async function main(argv: readonly string[]): Promise<number> {
  const flags = parseArgs(argv, { boolean: ["help"], string: ["seconds", "seed"] });
  const seconds = Number(flags.seconds ?? 60);
  const seed = Number(flags.seed ?? Math.floor(Math.random() * 2 ** 31));
  const unknown = Object.keys(flags).filter((flag) => !["_", "help", "seconds", "seed"].includes(flag));
  const wanted = (await targets()).filter(({ name }) =>
    flags._.length === 0 || flags._.some((prefix) => name.startsWith(String(prefix)))
  );
  const isMistake = unknown.length > 0 || wanted.length === 0 || !(seconds > 0) || !Number.isInteger(seed);
  if (flags.help || isMistake) {
    (flags.help ? console.log : console.error)(HELP);
    return flags.help ? 0 : 64;
  }
  console.log(`seed ${seed}`);
  const rows: ScenarioRow[] = [];
  for (const target of wanted) {
    try {
      const report = await fuzz(target, { seconds, seed });
      const { inputs, refused, slowestMs, mostBytes } = report;
      rows.push(rowOf(target.name, seconds, report));
      console.log(
        `${target.name}: ${inputs} inputs, ${refused} refused; ` +
          `at most ${Math.round(slowestMs)} ms and ${Math.round(mostBytes / 1e6)} MB`,
      );
    } catch (error) {
      console.error(`FAILED ${error instanceof Error ? error.message : error}`);
      rows.push(rowOf(target.name, seconds, undefined));
    }
  }
  if (flags._.length === 0) await writeSection("fuzz", rows);
  return rows.every(({ result }) => result === "passed") ? 0 : 1;
}

function rowOf(target: string, seconds: number, report: Report | undefined): ScenarioRow {
  const counted = (count: number) => count.toLocaleString("en");
  return {
    subject: target,
    what: report === undefined
      ? "hostile and damaged inputs"
      : `${counted(report.inputs)} hostile and damaged inputs, of which it refused ${counted(report.refused)}`,
    means: "stand-in",
    holds: "nothing but its own error, each within 1 s and 64 MB" +
      (report === undefined
        ? ""
        : ` (the worst: ${Math.ceil(report.slowestMs)} ms, ${Math.ceil(report.mostBytes / 1e6)} MB)`),
    result: report === undefined ? "failed" : "passed",
    seconds,
  };
}

Deno.exit(await main(Deno.args));
