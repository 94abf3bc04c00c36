// `gilly version`: which build this is.

import { EXIT } from "../support/errors.ts";
import { VERSION } from "../version.ts";
import type { Command } from "./command_line.ts";
import { JSON_FLAG } from "./flags.ts";

export const versionCommand: Command = {
  name: "version",
  summary: "the version of this build",
  description: "Prints the version of this build and of the runtime inside it.",
  example: "gilly version --json",
  flags: [JSON_FLAG],
  run(args, output) {
    const { deno, v8 } = Deno.version;
    const build = { gilly: VERSION, deno, v8, target: Deno.build.target };
    output.write(
      args.flags.json === true ? `${JSON.stringify(build)}\n` : `gilly ${VERSION} (deno ${deno}, v8 ${v8})\n`,
    );
    return Promise.resolve(EXIT.ok);
  },
};
