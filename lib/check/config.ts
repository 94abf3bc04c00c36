// Checks the config and every file that it names, at the path from which the service gets it.

import {
  type Config,
  ConfigError,
  type ConfigMistake,
  describeMistake,
  loadConfig,
  loadConfigText,
} from "../config/config.ts";
import { idleRules } from "../images/idle_rules.ts";
import { compileRules } from "../images/rules.ts";
import { DENIED } from "../support/errors.ts";
import { counted } from "../support/text.ts";
import { checkCredentials } from "./files/credentials.ts";
import { checkKubeletFiles } from "./files/kubelet_files.ts";
import { isLent, lentFilesOf, type LentOptions } from "./files/lent_files.ts";
import type { LentFile } from "./files/unit_file.ts";
import { AS_ROOT, fail, type Finding, ok, warn } from "./finding.ts";

/** The result of a check of the config. */
export interface ConfigCheck {
  /** Undefined if the text is refused. A file that the config names may still be unusable. */
  readonly config: Config | undefined;
  readonly findings: readonly Finding[];
  /**
   * Whether every certificate, key and token that the config names is valid, so that TLS can try
   * them.
   */
  readonly usable: boolean;
  /**
   * Whether the next start of the service would load other contents of the files that systemd loads
   * as credentials.
   */
  readonly renewed: boolean;
  /** What is known about kubelet.caFile if systemd loads it as a credential. */
  readonly lentCa?: LentFile;
}

/**
 * Checks the config at this path and every file that it names, at `now` (milliseconds since the
 * epoch). A file that systemd loads as a credential is read at its source if the service does not
 * run or if its next start is to be checked.
 */
export async function checkConfig(file: string, now: number, options: LentOptions = {}): Promise<ConfigCheck> {
  const text = await outcomeOf(loadConfigText(file));
  if (text.config === undefined) {
    // The files that it names may have mistakes of their own, except those that systemd loads as
    // credentials: where they come from is not known without the text.
    const all = await outcomeOf(loadConfig(file, (path) => isLent(path, options) ? undefined : path));
    return refused(all.config === undefined ? all.mistakes : text.mistakes);
  }
  const named = text.config.kubelet;
  const lent = await lentFilesOf(named, options);
  const { config = text.config, mistakes } = await outcomeOf(loadConfig(file, readAtOf(lent)));
  return await checkFiles({ config, lent, named, mistakes }, now, options);
}

/** The config, or its mistakes. Throws what is not a ConfigError. */
async function outcomeOf(
  loading: Promise<Config>,
): Promise<{ readonly config: Config | undefined; readonly mistakes: readonly ConfigMistake[] }> {
  try {
    return { config: await loading, mistakes: [] };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { config: undefined, mistakes: error.mistakes };
  }
}

type Lent = ReadonlyMap<string, LentFile>;

function readAtOf(lent: Lent): (path: string) => string | undefined {
  return (path) => lent.has(path) ? lent.get(path)!.at : path;
}

/** Checks only the text of the config at this path, and none of the files that it names. */
export async function checkConfigText(file: string): Promise<ConfigCheck> {
  const { config, mistakes } = await outcomeOf(loadConfigText(file));
  if (config === undefined) return refused(mistakes);
  return { config, findings: [checkRead(config), ...checkIdleRules(config)], usable: false, renewed: false };
}

function refused(mistakes: readonly ConfigMistake[]): ConfigCheck {
  return { config: undefined, findings: checkMistakes(mistakes), usable: false, renewed: false };
}

/** A config whose text is valid, and the state of the files that it names. */
interface Loaded {
  readonly config: Config;
  /** The kubelet's files as the text names them. */
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
  const sourceOf = (path: string) => lent.get(path)?.source ?? path;
  const { findings, usable } = await checkKubeletFiles({ named, readAt, lent, mistakes }, now, options);
  const lentCa = lent.get(named.caFile ?? "");
  return {
    config,
    findings: [
      checkRead(config),
      ...checkIdleRules(config),
      ...findings,
      ...await checkCredentials(config, sourceOf),
    ],
    usable,
    renewed: [...lent.values()].some(({ inUse, drift }) => !inUse || drift === "replaced"),
    ...(lentCa === undefined ? {} : { lentCa }),
  };
}

/** Returns the finding for a valid config. */
export function checkRead({ file, registries }: { file: string; registries: readonly unknown[] }): Finding {
  return ok("config", `${file} is valid, with ${counted(registries.length, "rule")}`);
}

/** Returns a finding for each rule that serves no image. */
export function checkIdleRules({ file, registries }: Pick<Config, "file" | "registries">): Finding[] {
  return idleRules(compileRules(registries)).map(({ rule: { origin, line }, because, remedy }) =>
    warn(
      `rule ${origin}`,
      `it serves no image: ${because}`,
      `${line === undefined ? file : `${file}:${line}`}: ${remedy}`,
    )
  );
}

/** Returns the findings for a refused config, one for each mistake. */
export function checkMistakes(mistakes: readonly ConfigMistake[]): Finding[] {
  return mistakes.map((mistake) => fail("config", describeMistake(mistake), adviceOn(mistake)));
}

function adviceOn({ line, key, message }: ConfigMistake): string {
  if (message.includes(DENIED)) return AS_ROOT;
  if (line !== undefined) return "fix that line";
  return key === "" ? "create it, or name another with --config FILE" : "add it";
}
