// What this build calls itself. deno.json holds the version; a compiled binary carries it inside.

import manifest from "../deno.json" with { type: "json" };

/** The version in deno.json, such as `0.1.0`. */
export const VERSION: string = manifest.version;
