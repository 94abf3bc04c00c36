// Checks this host's daemon by its state file: whether it runs, and which problems it reports.

import { type NodeState, statusLine } from "../status/node_state.ts";
import { type NoDaemon, RESTART, START } from "../status/read_state.ts";
import { seeDaemon } from "../status/state_file.ts";
import { describeError } from "../support/errors.ts";
import { checkCooldowns, type CooldownWords } from "./cooldown.ts";
import { installed, type LentOptions } from "./files/lent_files.ts";
import type { Installed } from "./files/unit_file.ts";
import { fail, type Finding, ok, warn } from "./finding.ts";

const COOLDOWN_WORDS: CooldownWords = {
  name: "cool-down",
  unused: "is not used",
  failed: "failed",
  program: "the daemon",
};

/** Checks the daemon by its state file; `now` is milliseconds since the epoch. */
export async function checkDaemon(stateFile: string, now: number, options: LentOptions = {}): Promise<Finding[]> {
  const none = async (why: NoDaemon) => [checkNoDaemon(why, await installed("gilly.service", options))];
  try {
    const seen = await seeDaemon(stateFile, now);
    return seen.state === undefined ? await none(seen) : checkState(seen.state, now);
  } catch (error) {
    return await none({ because: `${stateFile} cannot be read: ${describeError(error)}`, silent: false });
  }
}

/**
 * Returns the findings for a running daemon and for the mirrors that failed; `now` is milliseconds
 * since the epoch.
 */
export function checkState(state: NodeState, now: number): Finding[] {
  const { trouble: { pass, config, engine }, mirrors, configFile } = state;
  const line = statusLine(state, now);
  const itself = config !== null
    ? warn("daemon", line, `fix ${configFile}; then systemctl reload gilly`)
    : pass !== null
    ? warn("daemon", line, "see the kubelet above; the daemon retries automatically")
    : engine !== null
    ? warn("daemon", line, "see the runtime above; the daemon resumes automatically")
    : ok("daemon", line);
  return [itself, ...checkCooldowns(mirrors, now, COOLDOWN_WORDS)];
}

/** Returns the finding for a daemon that does not run, or that runs but is `silent`. */
export function checkNoDaemon({ because, silent }: NoDaemon, service: Installed): Finding {
  const message = `not running: ${because}`;
  if (service === "masked") {
    return fail("daemon", `${message}; gilly.service is masked`, "systemctl unmask gilly; systemctl start gilly");
  }
  // No daemon is expected to run here.
  if (service === "absent" && !silent) {
    return warn(
      "daemon",
      `${message}; gilly.service is not installed`,
      "a package or install.sh puts it there, or: gilly run",
    );
  }
  return fail("daemon", message, silent ? RESTART : START);
}
