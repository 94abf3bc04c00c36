// Flags and first steps that several commands share.

import type { Arguments, Flag } from "../cli.ts";
import { type Config, loadConfig } from "../config.ts";
import { configureLog } from "../log.ts";
import { printable } from "../printable.ts";

/** Where the config is when nobody says otherwise. */
export const DEFAULT_CONFIG_FILE = "/etc/gilly/config.yaml";

/** `--config FILE`, which every command that reads the config has. */
export const CONFIG_FLAG: Flag = { name: "config", value: "FILE", help: `the config (default ${DEFAULT_CONFIG_FILE})` };

/** `--json`, wherever a person might script it. */
export const JSON_FLAG: Flag = { name: "json", help: "print JSON for scripts" };

/** The path that `--config` names. */
export function configFileOf({ flags }: Arguments): string {
  return typeof flags.config === "string" ? flags.config : DEFAULT_CONFIG_FILE;
}

/** Loads the config and puts its logging in force. Throws ConfigError. */
export async function loadConfigAndLog(args: Arguments): Promise<Config> {
  const config = await loadConfig(configFileOf(args));
  startLog(config);
  return config;
}

/** Logs to standard error, as a terminal or journald wants it. */
export function startLog({ logging }: Pick<Config, "logging">): void {
  configureLog({ ...logging, journald: underJournald(), write: writeToStandardError });
}

/** Whether standard error is journald's (systemd.exec(5), JOURNAL_STREAM); a terminal that inherited the name is not. */
export function underJournald(): boolean {
  return Deno.env.get("JOURNAL_STREAM") !== undefined && !Deno.stderr.isTerminal();
}

/** Says on standard error what is odd about a result that is printed all the same. */
export function tell(text: string): void {
  writeToStandardError(new TextEncoder().encode(`gilly: ${printable(text)}\n`));
}

function writeToStandardError(line: Uint8Array): void {
  try {
    for (let written = 0; written < line.byteLength;) written += Deno.stderr.writeSync(line.subarray(written));
  } catch {
    // A reader that went away must not stop repairs; there is nowhere left to say so.
  }
}
