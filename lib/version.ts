// The version of this build, from deno.json; a compiled binary has it built in.

import manifest from "../deno.json" with { type: "json" };

/** The version in deno.json, such as `0.1.0`. */
export const VERSION: string = manifest.version;
