// Type-checks the pure modules without the types of the platform, so that Deno, fetch, console and
// AbortSignal are unknown names. Fails if a pure module uses one, and also if
// tests/testdata/impure.ts passes.

import { PURE } from "../tests/repo/layers.ts";
import { PROJECT } from "./deno.ts";

const IMPURE = "tests/testdata/impure.ts";

/** An error from the compiler; `file` is a path in the project, `line` counts from 1. */
interface Complaint {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

async function check(files: readonly string[]): Promise<{ complaints: Complaint[]; output: string }> {
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["check", "--config", "tools/purity.json", ...files],
    cwd: PROJECT,
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const output = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  return { complaints: output.split(/^(?=TS\d+ \[ERROR\])/m).flatMap(readComplaint), output };
}

function readComplaint(text: string): Complaint[] {
  const message = /^TS\d+ \[ERROR\]: (.*)/.exec(text)?.[1];
  const place = /^\s+at (file:\S+):(\d+):\d+$/m.exec(text);
  if (message === undefined || place === null) return [];
  return [{ file: place[1]!.replace(`file://${PROJECT}`, ""), line: Number(place[2]), message }];
}

/** Returns the exported lines of IMPURE that the compiler accepted. */
async function unnoticed(complaints: readonly Complaint[]): Promise<string[]> {
  const noticed = new Set(complaints.filter(({ file }) => file === IMPURE).map(({ line }) => line));
  const text = await Deno.readTextFile(PROJECT + IMPURE);
  return text.split("\n").filter((line, index) => line.startsWith("export") && !noticed.has(index + 1));
}

const { complaints, output } = await check([...PURE, IMPURE]);
// Modules whose types a pure module imports are checked too, but they may use the platform.
const impure = complaints.filter(({ file }) => PURE.has(file));
const passed = await unnoticed(complaints);
for (const { file, line, message } of impure) console.error(`${file}:${line}: ${message}`);
for (const line of passed) console.error(`The check does not work, it accepted this: ${line}`);
if (passed.length > 0) console.error(output);
if (impure.length > 0 || passed.length > 0) Deno.exit(1);
console.log(`${PURE.size} pure modules use only the language.`);
