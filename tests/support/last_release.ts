// The last release, built anew from its commit: what a worker has before it is upgraded.

import { PROJECT } from "../../tools/deno.ts";
import { mustRun } from "./builds.ts";
import { missingForBinary } from "./requirements.ts";

/** Version and commit of the release; no tag names it. */
export const LAST_RELEASE = { version: "0.1.0", commit: "ab3d244cb157b31081eef99153fda27adcd86988" } as const;

/** What this machine lacks to build it. */
export function missingForLastRelease(): string[] {
  const { version, commit } = LAST_RELEASE;
  const missing = missingForBinary();
  if (!Deno.env.get("DENORT_BIN")) missing.push("DENORT_BIN (the runtime of compiled programs)");
  return hasCommit(commit)
    ? missing
    : [...missing, `commit ${commit.slice(0, 7)}, which is ${version} (a clone with its history)`];
}

function hasCommit(commit: string): boolean {
  try {
    const args = ["-C", PROJECT, "cat-file", "-e", `${commit}^{commit}`];
    return new Deno.Command("git", { args, stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

/** Builds its archive, in some seconds, in an empty folder; returns the archive's path. */
export async function buildLastRelease(folder: string): Promise<string> {
  const { version, commit } = LAST_RELEASE;
  await mustRun("sh", ["-c", 'git -C "$1" archive "$2" | tar -x -C "$3"', "sh", PROJECT, commit, folder]);
  // Within a task, `deno` is the program that runs the task.
  await mustRun(Deno.execPath(), ["task", "release"], { cwd: folder });
  return `${folder}/dist/gilly-${version}-linux-x64.tar.gz`;
}
