// Looks at the config and at every file that it names, where the service has it from, and hands what it saw to the judges
// beside it. It changes nothing.

import { type Config, ConfigError, type ConfigMistake, loadConfig, loadConfigText } from "../config/config.ts";
import { KUBELET_FILES } from "../config/keys.ts";
import { ENOUGH } from "../kubelet/rights.ts";
import type { CertificateFacts } from "../support/certificate_facts.ts";
import { readCertificates } from "../support/certificates.ts";
import { describeError } from "../support/errors.ts";
import * as files from "./files.ts";
import { fail, type Finding, ok, sanitize } from "./finding.ts";
import { isLent, lentFilesOf, type LentOptions } from "./lent_files.ts";
import { judgeOpenCredentials } from "./mirrors.ts";
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
    const config = await loadConfig(file, placeIn(lent));
    return await checkFiles({ config, lent, named: kubelet, mistakes: [] }, now, options);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const config = await parsedAnyway(file);
    if (config === undefined) {
      const mistakes = await allMistakesIn(file, options) ?? error.mistakes;
      return { config, findings: sanitize(files.judgeMistakes(mistakes)), usable: false, renewed: false };
    }
    return await checkFiles({ config, lent, named: config.kubelet, mistakes: error.mistakes }, now, options);
  }
}

type Lent = ReadonlyMap<string, LentFile>;

function placeIn(lent: Lent): (path: string) => string | undefined {
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
    return { config, findings: sanitize([files.judgeConfig(config)]), usable: false, renewed: false };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return {
      config: undefined,
      findings: sanitize(files.judgeMistakes(error.mistakes)),
      usable: false,
      renewed: false,
    };
  }
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
  { nextStart = false }: LentOptions,
): Promise<ConfigCheck> {
  const lentAs = (key: keyof typeof KUBELET_FILES) => lent.get(named[key] ?? "");
  const broken = new Set(mistakes.map(({ key }) => key));
  const found = mistakes.map((mistake) => {
    const key = mistake.key.replace("kubelet.", "") as keyof typeof KUBELET_FILES;
    return files.judgeFileMistake(mistake, lentAs(key));
  });
  for (const key of Object.keys(KUBELET_FILES) as (keyof typeof KUBELET_FILES)[]) {
    const it = lentAs(key);
    if (it === undefined) continue;
    if (!nextStart) found.push(...files.judgeDrift(`kubelet.${key}`, it));
    if (it.problem === undefined) continue;
    broken.add(`kubelet.${key}`);
    found.push(files.judgeOutOfReach(`kubelet.${key}`, named[key]!, it));
  }
  const place = placeIn(lent);
  const [caFile, certFile, keyFile, tokenFile] = [named.caFile, named.certFile, named.keyFile, named.tokenFile]
    .map((path) => path === undefined ? undefined : place(path));
  const certificates = async (key: string, file: string | undefined): Promise<CertificateFacts[] | undefined> => {
    if (file === undefined || broken.has(key)) return undefined;
    try {
      return readCertificates(await Deno.readTextFile(file));
    } catch (error) {
      found.push(fail(key, `${file} cannot be used: ${describeError(error)}`, "put a PEM certificate there"));
      return undefined;
    }
  };
  const authorities = await certificates("kubelet.caFile", caFile);
  const [own] = await certificates("kubelet.certFile", certFile) ?? [];
  const usable = ![...broken].some((key) => key.startsWith("kubelet.")) &&
    !found.some(({ name, verdict }) => name.startsWith("kubelet.") && verdict === "fail");
  if (authorities !== undefined) found.push(files.judgeAuthorities(caFile!, authorities, now, lentAs("caFile")));
  if (own !== undefined) found.push(files.judgeClientCertificate(certFile!, own, now, lentAs("certFile")));
  if (own !== undefined && !broken.has("kubelet.keyFile")) {
    found.push(ok("kubelet.keyFile", `${keyFile} belongs to the certificate`));
  }
  if (own !== undefined) found.push(files.judgeRights(own));
  if (tokenFile !== undefined && !broken.has("kubelet.tokenFile")) {
    found.push(
      ok("kubelet.tokenFile", `${tokenFile} holds a token; only the cluster knows its rights: ${ENOUGH}`),
    );
  }
  found.push(...await openSecrets(config, place));
  const open = judgeOpenCredentials(config.registries, config.mirrors);
  const lentCa = lentAs("caFile");
  return {
    config,
    findings: sanitize([files.judgeConfig(config), ...found, ...open]),
    usable,
    renewed: [...lent.values()].some(({ inUse, drift }) => !inUse || drift === "replaced"),
    ...(lentCa === undefined ? {} : { lentCa }),
  };
}

// What is lent is looked at where everybody may find it, not where systemd copies it to.
async function openSecrets({ kubelet, mirrors }: Config, place: ReturnType<typeof placeIn>): Promise<Finding[]> {
  const secrets = [
    ["kubelet.keyFile", kubelet.keyFile],
    ["kubelet.tokenFile", kubelet.tokenFile],
    ...Object.entries(mirrors).map(([host, { authFile }]) => [`mirrors."${host}".authFile`, authFile] as const),
  ] as const;
  const found = await Promise.all(secrets.map(async ([key, path]) => {
    const file = path === undefined ? undefined : place(path);
    const mode = file === undefined ? null : await Deno.stat(file).then(({ mode }) => mode, () => null);
    return mode === null ? undefined : files.judgeSecretFile(key, file!, mode);
  }));
  return found.filter((finding) => finding !== undefined);
}
