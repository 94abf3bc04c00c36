// Flags and setup that several commands share.

import { lentFilesOf } from "../check/files/lent_files.ts";
import { type Config, ConfigError, loadConfig, loadConfigText } from "../config/config.ts";
import { idleRules } from "../images/idle_rules.ts";
import { compileRules } from "../images/rules.ts";
import { configureLog, log } from "../log/log.ts";
import { stateFileIn } from "../status/state_file.ts";
import { DENIED } from "../support/errors.ts";
import { printable } from "../support/text.ts";
import type { Arguments, Flag } from "./command_line.ts";

/** The default path of the config. */
export const DEFAULT_CONFIG_FILE = "/etc/gilly/config.yaml";

/** `--config FILE`, for every command that reads the config. */
export const CONFIG_FLAG: Flag = { name: "config", value: "FILE", help: `the config (default ${DEFAULT_CONFIG_FILE})` };

/** `--json`, for commands that may be used in scripts. */
export const JSON_FLAG: Flag = { name: "json", help: "print JSON for scripts" };

/** `--state-file FILE`, for commands that read what the running programs have told. */
export const STATE_FILE_FLAG: Flag = {
  name: "state-file",
  value: "FILE",
  help: `the daemon's state file (default ${stateFileIn(undefined)})`,
};

/** Returns the path that `--state-file` names, or that of this environment. */
export function stateFileOf({ flags }: Arguments): string {
  const file = flags[STATE_FILE_FLAG.name];
  return typeof file === "string" ? file : stateFileIn(Deno.env.get("RUNTIME_DIRECTORY"));
}

/** Returns the path that `--config` names, or the default. */
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
 * Loads the config from its text alone, for a command `name` that works without the kubelet's
 * files: they may exist only for the daemon, and only while it runs. Throws ConfigError.
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
 * Loads the config for the command `name` and puts its logging in force. Files that systemd loads
 * as credentials for the daemon are read from their source while the daemon is not running. Throws
 * ConfigError, or Error if such a file cannot be used.
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

/**
 * Starts logging to standard error, in the form for a terminal or for journald, with a warning for
 * each rule of the config that serves no image.
 */
export function startLog({ logging, file, registries }: Pick<Config, "logging" | "file" | "registries">): void {
  configureLog({ ...logging, journald: underJournald(), write: writeToStandardError });
  for (const { rule: { origin, line }, because, remedy } of idleRules(compileRules(registries))) {
    const where = line === undefined ? file : `${file}:${line}`;
    log("warning", "Config", `${where}: the rule for ${origin} serves no image: ${because}; ${remedy}`);
  }
}

/**
 * Returns whether standard error goes to journald (systemd.exec(5), JOURNAL_STREAM); a terminal may
 * have inherited the variable.
 */
export function underJournald(): boolean {
  return Deno.env.get("JOURNAL_STREAM") !== undefined && !Deno.stderr.isTerminal();
}

/** Prints a warning about a result on standard error; the result is printed regardless. */
export function warn(text: string): void {
  writeToStandardError(new TextEncoder().encode(`gilly: ${printable(text)}\n`));
}

function writeToStandardError(line: Uint8Array): void {
  try {
    for (let written = 0; written < line.byteLength;) written += Deno.stderr.writeSync(line.subarray(written));
  } catch {
    // A closed standard error must not stop repairs, and there is nowhere left to report it.
  }
}
