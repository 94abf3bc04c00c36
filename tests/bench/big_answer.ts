// The cost of one pass over a very full node compared with a bare JSON.parse of the same bytes,
// each in its own process.

import { PROJECT } from "../../tools/deno.ts";
import { permissions } from "../support/program.ts";
import { type Finding, fixed, type Measurement, median, megabytes, type RunOptions } from "./measurement.ts";
import { steadyNode } from "./pods.ts";
import { startFixedKubelet } from "./stand_ins.ts";

/** What a probe prints: milliseconds, and the peak growth of its resident set in bytes. */
export interface Probed {
  readonly milliseconds: number;
  readonly growth: number;
}

/**
 * What a probe does: parse the bytes, run a pass over them, or also request them from a kubelet, as
 * the daemon does.
 */
export type ProbeKind = "parse" | "pass" | "request-and-pass";

const POD_COUNTS = [1000, 10_000];

export const bigAnswer: Measurement = {
  name: "big_answer",
  title: "A big answer",
  missing: () => [],
  async run(options: RunOptions): Promise<Finding> {
    const rows: string[][] = [];
    const ratios: number[] = [];
    for (const pods of POD_COUNTS) {
      const { parse, pass, whole } = await probe(pods, options);
      const ratio = median(pass.map(({ milliseconds }, run) => milliseconds / parse[run]!.milliseconds));
      ratios.push(ratio);
      rows.push(
        rowOf(pods, "JSON.parse", parse, ""),
        rowOf(pods, "a pass over the bytes", pass, fixed(ratio, 2)),
        rowOf(pods, "the same, asked for over a new TLS connection", whole, ""),
      );
    }
    const size = `${megabytes(steadyNode(1000).byteLength)} MB`;
    return {
      method:
        "Bytes to plan under the V8 flags of the compiled program: decoded, parsed, admitted, scanned, planned, each " +
        "run in a process of its own, beside one that decodes and parses the same bytes. Medians; peak is by how much the " +
        "resident set grew at the most.",
      headings: ["pods", "what", "ms", "peak MB", "ratio"],
      rows,
      aims: [{
        what: "a pass over 1,000 pods beside JSON.parse",
        measured: ratios[0]!,
        limit: 1.5,
        unit: "",
        digits: 2,
      }],
      notes: [
        `The answer with 1,000 pods is ${size}; one beyond 96 MiB is refused, and the unit's MemoryMax is 768 MB.`,
        "For orientation, the original (Go 1.19) on the same machine: about 100 ms of CPU for a pass over 1,000 pods.",
      ],
    };
  },
};

function rowOf(pods: number, what: string, runs: readonly Probed[], ratio: string): string[] {
  const [ms, growth] = [median(runs.map((run) => run.milliseconds)), median(runs.map((run) => run.growth))];
  return [fixed(pods), what, fixed(ms, ms < 100 ? 1 : 0), fixed(growth / 1e6), ratio];
}

async function probe(
  pods: number,
  { quick, say }: RunOptions,
): Promise<{ parse: Probed[]; pass: Probed[]; whole: Probed[] }> {
  const dir = await Deno.makeTempDir({ prefix: "gilly-bench-" });
  const answer = steadyNode(pods);
  await using kubelet = startFixedKubelet(answer);
  const found = { parse: [] as Probed[], pass: [] as Probed[], whole: [] as Probed[] };
  try {
    await Deno.writeFile(`${dir}/pods.json`, answer);
    await Deno.writeTextFile(`${dir}/ca.crt`, kubelet.authorityPem);
    for (let run = 0; run < (quick ? 3 : 9); run++) {
      say(`a big answer of ${pods} pods: ${run + 1}`);
      found.parse.push(await runProbe("parse", `${dir}/pods.json`));
      found.pass.push(await runProbe("pass", `${dir}/pods.json`));
      found.whole.push(await runProbe("request-and-pass", kubelet.url, `${dir}/ca.crt`));
    }
    return found;
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function runProbe(kind: ProbeKind, ...args: string[]): Promise<Probed> {
  const flags = permissions().filter((flag) => flag.startsWith("--v8-flags"));
  const { stdout, success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", "--allow-all", ...flags, "tests/bench/big_answer_probe.ts", kind, ...args],
    cwd: PROJECT,
    stdin: "null",
    stderr: "inherit",
  }).output();
  if (!success) throw new Error(`the probe ${kind} failed`);
  return JSON.parse(new TextDecoder().decode(stdout)) as Probed;
}
