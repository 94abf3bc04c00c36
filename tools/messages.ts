// Generates lib/runtime/containerd/messages/*_pb.ts from the .proto files beside them, with protoc
// (Debian's protobuf-compiler) and protoc-gen-es. `deno task messages` writes them; a test checks
// that they are up to date.

import { PROJECT } from "./deno.ts";

/** Where the files are. */
export const FOLDER = `${PROJECT}lib/runtime/containerd/messages/`;

/** The same version as the library in deno.json, which runs what it makes. */
const GENERATOR = "npm:@bufbuild/protoc-gen-es@2.17.0";

/** Returns the contents of the files, by name. Throws if a program fails. */
export async function generate(): Promise<Record<string, string>> {
  const folder = await Deno.makeTempDir({ prefix: "gilly-messages-" });
  try {
    const plugin = `${folder}/protoc-gen-es`;
    const script = `#!/bin/sh\nexec "${Deno.execPath()}" run --allow-all --quiet --no-config --no-lock ${GENERATOR}\n`;
    await Deno.writeTextFile(plugin, script, { mode: 0o755 });
    const options = "target=ts,import_extension=ts";
    const protos = (await namesIn(FOLDER)).filter((name) => name.endsWith(".proto"));
    await runProgram("protoc", [
      `--plugin=${plugin}`,
      `-I${FOLDER}`,
      `--es_out=${folder}`,
      `--es_opt=${options}`,
      ...protos,
    ]);
    const made = (await namesIn(folder)).filter((name) => name.endsWith("_pb.ts"));
    await runProgram(Deno.execPath(), [
      "fmt",
      "--quiet",
      "--config",
      `${PROJECT}deno.json`,
      ...made.map((name) => `${folder}/${name}`),
    ]);
    return Object.fromEntries(
      await Promise.all(made.map(async (name) => [name, await Deno.readTextFile(`${folder}/${name}`)])),
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function namesIn(folder: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();
}

async function runProgram(program: string, args: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args: [...args], stdin: "null" }).output();
  if (!success) throw new Error(`${program} failed: ${new TextDecoder().decode(stderr).trim()}`);
}

if (import.meta.main) {
  for (const [name, content] of Object.entries(await generate())) {
    await Deno.writeTextFile(`${FOLDER}${name}`, content);
    console.log(`written: ${name}`);
  }
}
