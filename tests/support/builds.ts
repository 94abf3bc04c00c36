// Builds of the project in folders of their own, and what tests of a release put in their place.

import { assertEquals } from "@std/assert";
import { type Architecture, ARCHITECTURES, HOST } from "../../tools/architectures.ts";
import { PROJECT } from "../../tools/deno.ts";
import { sha256Of, versionOf } from "../../tools/pins.ts";
import { namedRuntime } from "../../tools/runtime.ts";

/** What no build reads. */
const OTHERS = ["tests", ".ci", ".git", ".deno", "dist"];

/** The file name of this machine's runtime where a download is kept. */
export const KEPT_RUNTIME = `denort-${versionOf("denort")}-${Deno.build.target}`;

/** Returns the path of the runtime that this machine's binary was compiled with. */
export function runtimePath(): string {
  return namedRuntime(HOST) ?? `${PROJECT}.deno/${KEPT_RUNTIME}`;
}

/** What a program printed, and its exit code. */
export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a program to its end, without standard input. */
export async function run(program: string, args: readonly string[], options: Deno.CommandOptions = {}): Promise<Ran> {
  const { code, stdout, stderr } = await new Deno.Command(program, { stdin: "null", ...options, args: [...args] })
    .output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}

/** Runs a program that must succeed, and returns its standard output. */
export async function mustRun(
  program: string,
  args: readonly string[],
  options?: Deno.CommandOptions,
): Promise<string> {
  const { code, out, err } = await run(program, args, options);
  assertEquals(code, 0, `${program} ${args.join(" ")}: ${out}${err}`);
  return out;
}

/** Copies everything that a build reads into a new folder. */
export async function checkout(folder: string): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  const archive = `${folder}.tar`;
  await mustRun("tar", ["-C", PROJECT, ...OTHERS.map((name) => `--exclude=./${name}`), "-cf", archive, "."]);
  await mustRun("tar", ["-C", folder, "-xf", archive]);
}

/** Pins a file as the runtime for an architecture, in a checkout. */
export async function pinRuntime(project: string, architecture: Architecture, file: string): Promise<void> {
  const path = `${project}/tools/pins.json`;
  const pins = JSON.parse(await Deno.readTextFile(path));
  pins.denort.sha256[ARCHITECTURES[architecture].target] = await sha256Of(file);
  await Deno.writeTextFile(path, JSON.stringify(pins, undefined, 2));
}

/** Returns a file with the header of a Linux executable for the machine of that number (elf(5)). */
export function elf(machine: number, contents = "not a program\n"): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(20);
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
  new DataView(header.buffer).setUint16(18, machine, true);
  return new Uint8Array([...header, ...new TextEncoder().encode(contents)]);
}
