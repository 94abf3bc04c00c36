// `deno task soak`: the long run. Prints the daemon's resources on the way, and fails if it leaks
// any.

import { parseArgs } from "@std/cli/parse-args";
import { writeSection } from "../scenarios/page.ts";
import { soak } from "./soak.ts";

const HELP = `Usage: deno task soak [--passes N] [--repairs N]

Runs the daemon at full speed against stand-ins that fail in turn, and looks at what it holds. Ends
with exit code 1 when its heap after the last thousand passes is more than 5 % above that after the
second thousand, or when it leaves a file descriptor or a socket behind. Leaves its table in
tests/README.md.

  --passes N     at least so many (20000)
  --repairs N    at least so many (2000)

Example: deno task soak --passes 100000
`;

/** The largest allowed ratio of the heap at the end to the heap at the beginning. */
const GROWTH_LIMIT = 1.05;
const EVERY = 1000;

async function main(argv: readonly string[]): Promise<number> {
  const flags = parseArgs(argv, { boolean: ["help"], string: ["passes", "repairs"] });
  const [passes, repairs] = [Number(flags.passes ?? 20_000), Number(flags.repairs ?? 2000)];
  const isMistake = Object.keys(flags).some((flag) => !["_", "help", "passes", "repairs"].includes(flag)) ||
    flags._.length > 0 || !(passes >= 3 * EVERY) || !(repairs >= 0);
  if (flags.help || isMistake) {
    (flags.help ? console.log : console.error)(HELP);
    return flags.help ? 0 : 64;
  }
  const { before, during, after, faults, seconds } = await soak({
    passes,
    repairs,
    every: EVERY,
    say: (text) => console.error(`soak: ${text}`),
  });
  const [early, late] = [during[1]!, during.at(-1)!];
  const growth = late.heap / early.heap;
  const kilobytes = (bytes: number) => `${Math.round(bytes / 1000)} kB`;
  console.log(
    `${after.passes} passes, ${after.repaired} repairs, ${after.failed} failed tries, ${faults} faults in ${
      Math.round(seconds)
    } s`,
  );
  console.log(
    `heap after ${early.passes} passes ${kilobytes(early.heap)}, after ${late.passes} passes ${
      kilobytes(late.heap)
    }: ` +
      `${growth.toFixed(3)} times`,
  );
  console.log(
    `file descriptors ${before.descriptors} before, ${after.descriptors} after; sockets ${before.sockets}, ${after.sockets}`,
  );
  const isWell = growth <= GROWTH_LIMIT && after.descriptors <= before.descriptors && after.sockets <= before.sockets;
  console.log(isWell ? "nothing is held" : "FAILED: something is held");
  const counted = (count: number) => count.toLocaleString("en");
  await writeSection("soak", [{
    subject: "Gilly",
    what:
      `${counted(after.passes)} passes, ${counted(after.repaired)} repairs, ${counted(after.failed)} failed tries, ` +
      `${counted(faults)} faults of kubelet, Docker and mirrors`,
    means: "stand-in",
    holds: `heap after ${counted(late.passes)} passes within 5 % of that after ${counted(early.passes)} ` +
      `(${kilobytes(late.heap)}, ${kilobytes(early.heap)}), no file descriptor or socket left over`,
    result: isWell ? "passed" : "failed",
    seconds,
  }]);
  return isWell ? 0 : 1;
}

Deno.exit(await main(Deno.args));
