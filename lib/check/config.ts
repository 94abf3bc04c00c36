// Checks the config and every file that it names, where the service has it from. It changes nothing.

import { type Config, ConfigError, type ConfigMistake, loadConfig, loadConfigText } from "../config/config.ts";
import { DENIED } from "../support/errors.ts";
import { counted } from "../support/text.ts";
import { checkCredentials } from "./credentials.ts";
import { AS_ROOT, fail, type Finding, ok } from "./finding.ts";
import { checkKubeletFiles } from "./kubelet_files.ts";
import { isLent, lentFilesOf, type LentOptions } from "./lent_files.ts";
import type { LentFile } from "./unit_file.ts";

/** What a check of the config came to. */
export interface ConfigCheck {
  /** There unless the text itself is refused; a file that it names may still be unusable. */
  readonly config: Config | undefined;
  readonly findings: readonly Finding[];
  /** Every certificate, key and token that the config names is one, so that TLS can try them. */
  readonly usable: boolean;
  /** Whether the next start of the service would have other contents of the files that systemd lends. */
  readonly renewed: boolean;
  /** What is known of kubelet.caFile when systemd lends it. */
  readonly lentCa?: LentFile;
}

/**
 * Checks the config at this path and every file that it names, at `now` (milliseconds since the epoch). Files that
 * systemd lends to the service are looked at where it has them from, when it does not run or its next start is meant.
 */
export async function checkConfig(file: string, now: number, options: LentOptions = {}): Promise<ConfigCheck> {
  let lent: Lent = new Map();
  try {
    const { kubelet } = await loadConfigText(file);
    lent = await lentFilesOf(kubelet, options);
    const config = await loadConfig(file, readAtOf(lent));
    return await checkFiles({ config, lent, named: kubelet, mistakes: [] }, now, options);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const config = await parsedAnyway(file);
    if (config === undefined) {
      const mistakes = await allMistakesIn(file, options) ?? error.mistakes;
      return refused(mistakes);
    }
    return await checkFiles({ config, lent, named: config.kubelet, mistakes: error.mistakes }, now, options);
  }
}

type Lent = ReadonlyMap<string, LentFile>;

function readAtOf(lent: Lent): (path: string) => string | undefined {
  return (path) => lent.has(path) ? lent.get(path)!.at : path;
}

/** Those of the text, and those of the files that it names; what systemd lends is left out. */
async function allMistakesIn(
  file: string,
  options: LentOptions,
): Promise<readonly ConfigMistake[] | undefined> {
  try {
    await loadConfig(file, (path) => isLent(path, options) ? undefined : path);
    return undefined;
  } catch (error) {
    return error instanceof ConfigError ? error.mistakes : undefined;
  }
}

/** Checks the text of the config at this path alone, and none of the files that it names. */
export async function checkConfigText(file: string): Promise<ConfigCheck> {
  try {
    const config = await loadConfigText(file);
    return { config, findings: [checkRead(config)], usable: false, renewed: false };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return refused(error.mistakes);
  }
}

function refused(mistakes: readonly ConfigMistake[]): ConfigCheck {
  return { config: undefined, findings: checkMistakes(mistakes), usable: false, renewed: false };
}

async function parsedAnyway(file: string): Promise<Config | undefined> {
  try {
    return await loadConfigText(file);
  } catch {
    return undefined;
  }
}

/** A config whose text is in order, and what became of the files that it names. */
interface Loaded {
  readonly config: Config;
  /** The kubelet's files as the text has them. */
  readonly named: Config["kubelet"];
  readonly lent: Lent;
  readonly mistakes: readonly ConfigMistake[];
}

async function checkFiles(
  { config, named, lent, mistakes }: Loaded,
  now: number,
  options: LentOptions,
): Promise<ConfigCheck> {
  const readAt = readAtOf(lent);
  const { findings, usable } = await checkKubeletFiles({ named, readAt, lent, mistakes }, now, options);
  const lentCa = lent.get(named.caFile ?? "");
  return {
    config,
    findings: [checkRead(config), ...findings, ...await checkCredentials(config, readAt)],
    usable,
    renewed: [...lent.values()].some(({ inUse, drift }) => !inUse || drift === "replaced"),
    ...(lentCa === undefined ? {} : { lentCa }),
  };
}

/** A config that is in order. */
export function checkRead({ file, registries }: { file: string; registries: readonly unknown[] }): Finding {
  return ok("config", `${file} is valid, with ${counted(registries.length, "rule")}`);
}

/** A config that is refused, mistake by mistake. */
export function checkMistakes(mistakes: readonly ConfigMistake[]): Finding[] {
  return mistakes.map(({ file, line, key, message }) => {
    const place = line === undefined ? file : `${file}:${line}`;
    return fail("config", [place, key, message].filter((part) => part !== "").join(": "), adviceOn(line, key, message));
  });
}

function adviceOn(line: number | undefined, key: string, message: string): string {
  if (message.includes(DENIED)) return AS_ROOT;
  if (line !== undefined) return "fix that line";
  return key === "" ? "create it, or name another with --config FILE" : "add it";
}
