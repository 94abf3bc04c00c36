// Flags and first steps that several commands share.

import { lentFilesOf } from "../check/lent_files.ts";
import { type Config, ConfigError, loadConfig, loadConfigText } from "../config/config.ts";
import { configureLog } from "../log/log.ts";
import { DENIED } from "../support/errors.ts";
import { printable } from "../support/text.ts";
import type { Arguments, Flag } from "./command_line.ts";

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

/**
 * The config by its text alone, for a command of that name that can do without the kubelet's files: they may be there
 * for the daemon only, and only while it runs. Throws ConfigError.
 */
export async function readConfigText(args: Arguments, name: string): Promise<Config> {
  try {
    return await loadConfigText(configFileOf(args));
  } catch (error) {
    if (!(error instanceof ConfigError) || !(error.cause instanceof Deno.errors.PermissionDenied)) throw error;
    const mistakes = error.mistakes.map((it) => ({
      ...it,
      message: `${it.message}; run it as root: sudo gilly ${name}`,
    }));
    throw new ConfigError(mistakes, { cause: error.cause });
  }
}

/**
 * Loads the config for a command of that name and puts its logging in force. Files that systemd lends to the daemon are
 * read where they come from while it does not run. Throws ConfigError; Error when such a file is out of reach.
 */
export async function loadConfigHere(args: Arguments, name: string): Promise<Config> {
  const { file, kubelet } = await readConfigText(args, name);
  const lent = await lentFilesOf(kubelet);
  for (const [path, { problem, unknown }] of lent) {
    if (problem === undefined) continue;
    const asRoot = problem.includes(DENIED) ? `run it as root: sudo gilly ${name}` : "systemctl start gilly";
    throw new Error(`cannot use ${path}: ${problem}; ${unknown ? "add that line: systemctl edit gilly" : asRoot}`);
  }
  const config = await loadConfig(file, (path) => lent.get(path)?.at ?? path);
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
export function warn(text: string): void {
  writeToStandardError(new TextEncoder().encode(`gilly: ${printable(text)}\n`));
}

function writeToStandardError(line: Uint8Array): void {
  try {
    for (let written = 0; written < line.byteLength;) written += Deno.stderr.writeSync(line.subarray(written));
  } catch {
    // A reader that went away must not stop repairs; there is nowhere left to say so.
  }
}
