// Looks at everything a repair depends on, in its order, and hands what it saw to the judges (check_*.ts). It changes
// nothing: no image is pulled, no name is given, nothing is written.

import { AuthFile } from "./auth_file.ts";
import { outsideInWords, usesCredentials } from "./auth_paths.ts";
import type { CertificateFacts } from "./certificate_facts.ts";
import * as files from "./check_files.ts";
import * as mirrors from "./check_mirrors.ts";
import * as node from "./check_node.ts";
import { fail, type Failed, type Finding, ok, warn } from "./checks.ts";
import { readCertificates } from "./client_certificate.ts";
import { type Config, ConfigError, type ConfigMistake, loadConfig, loadConfigText } from "./config.ts";
import { KUBELET_FILES } from "./config_files.ts";
import { type Ground, look, type Parts } from "./cycle.ts";
import { describeError } from "./errors.ts";
import { KubeletError } from "./kubelet.ts";
import { ENOUGH } from "./kubelet_rights.ts";
import { installed, isLent, lentFilesOf, type LentOptions } from "./lent_files.ts";
import { printable } from "./printable.ts";
import type { PodList } from "./pod.ts";
import { isRefusal, planImage, type Target } from "./repair_plan.ts";
import { seeDaemon } from "./state_file.ts";
import type { NoDaemon } from "./state_reader.ts";
import { type RegistryAuth, type Runtime, RuntimeError, type RuntimeInfo } from "./runtime/runtime.ts";
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
      return { config, findings: tidy(files.judgeMistakes(mistakes)), usable: false, renewed: false };
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
    return { config, findings: tidy([files.judgeConfig(config)]), usable: false, renewed: false };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { config: undefined, findings: tidy(files.judgeMistakes(error.mistakes)), usable: false, renewed: false };
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
  const open = mirrors.judgeOpenCredentials(config.registries, config.mirrors);
  const lentCa = lentAs("caFile");
  return {
    config,
    findings: tidy([files.judgeConfig(config), ...found, ...open]),
    usable,
    renewed: [...lent.values()].some(({ inUse, drift }) => !inUse || drift === "replaced"),
    ...(lentCa === undefined ? {} : { lentCa }),
  };
}

/** What a check of the node is made of. */
export interface NodeParts extends Parts {
  readonly config: Config;
  readonly runtime: Runtime;
}

/**
 * Checks the kubelet, the Engine, the mirrors and the `keep` list. `usable` says that the kubelet's files can be used;
 * otherwise it is not asked. Throws only the signal's reason.
 */
export async function checkNode(
  parts: NodeParts,
  ground: Ground,
  options: Pick<ConfigCheck, "usable" | "lentCa"> & { readonly signal: AbortSignal },
): Promise<Finding[]> {
  const { signal } = options;
  const unasked: KubeletCheck = { findings: [notAsked("kubelet", "the files for it cannot be used")] };
  const [kubelet, engine] = await Promise.all([
    options.usable ? checkKubelet(parts, options.lentCa, signal) : unasked,
    checkEngine(parts, signal),
  ]);
  const findings = [...kubelet.findings, ...engine.findings];
  if (kubelet.list !== undefined) {
    findings.push(await checkWaiting(parts, ground, kubelet.list, signal));
    findings.push(...node.judgeReach(kubelet.list.pods, { ...parts, imageStore: engine.info?.imageStore }));
  }
  if (engine.info === undefined) {
    const unaskedToo = mirrors.probesOf(parts.config.registries).map(({ mirror }) =>
      notAsked(`mirror ${mirror}`, "the Docker Engine does not answer")
    );
    return tidy([...findings, ...unaskedToo]);
  }
  const [reachable, kept] = await Promise.all([checkMirrors(parts, signal), checkKept(parts, signal)]);
  return tidy([...findings, ...reachable, ...kept, mirrors.judgePermanentFix(engine.info)]);
}

interface KubeletCheck {
  readonly findings: readonly Finding[];
  /** What the kubelet answered. */
  readonly list?: PodList;
}

async function checkKubelet(
  parts: NodeParts,
  lentCa: LentFile | undefined,
  signal: AbortSignal,
): Promise<KubeletCheck> {
  const { url, caFile } = parts.config.kubelet;
  try {
    const list = await parts.kubelet.pods(signal);
    return { findings: node.judgeKubelet(url, list), list };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof KubeletError)) throw error;
    // Where it happened is said already; what is left is why.
    const text = describeError(error.kind === "unreachable" || error.kind === "credentials" ? error.cause : error);
    return { findings: node.judgeKubeletFailure(url, { kind: error.kind, text }, caFile, lentCa) };
  }
}

async function checkWaiting(parts: Parts, ground: Ground, list: PodList, signal: AbortSignal): Promise<Finding> {
  const kubelet = { host: parts.kubelet.host, pods: () => Promise.resolve(list) };
  const { failures, plan } = await look({ ...parts, kubelet }, ground, signal);
  const leftAlone = plan.skips.map(({ failure: { pod }, reason, advice }) => (
    { pod: `${pod.namespace}/${pod.name}`, reason, advice }
  ));
  return node.judgeWaiting(list.pods.length, failures.length, leftAlone);
}

async function checkEngine(
  { config, runtime }: NodeParts,
  signal: AbortSignal,
): Promise<{ findings: Finding[]; info?: RuntimeInfo }> {
  const { socket } = config.docker;
  try {
    const info = await runtime.info(signal);
    return { findings: node.judgeEngine(socket, info), info };
  } catch (error) {
    return { findings: node.judgeEngineFailure(socket, failureOf(error, signal), await groupOf(socket)) };
  }
}

/** The socket's group: its name, or its number where it has none. */
async function groupOf(socket: string): Promise<string | undefined> {
  try {
    const { gid } = await Deno.stat(socket);
    const groups = (await Deno.readTextFile("/etc/group")).split("\n").map((line) => line.split(":"));
    return groups.find(([, , id]) => Number(id) === gid)?.[0] ?? String(gid);
  } catch {
    return undefined;
  }
}

async function checkMirrors({ config, runtime }: NodeParts, signal: AbortSignal): Promise<Finding[]> {
  return await Promise.all(
    mirrors.probesOf(config.registries, config.mirrors).map(async ({ mirror, reference }) => {
      const { auth, credentials } = await credentialsFor(config, mirror, reference);
      try {
        await runtime.lookUp(reference, { signal, auth });
        return mirrors.judgeMirror(mirror, credentials);
      } catch (error) {
        return mirrors.judgeMirrorFailure(mirror, failureOf(error, signal), credentials);
      }
    }),
  );
}

async function credentialsFor(
  config: Config,
  mirror: string,
  reference: string,
): Promise<{ auth?: RegistryAuth; credentials?: mirrors.Credentials }> {
  const file = config.mirrors[mirror]?.authFile;
  if (file === undefined) return {};
  if (!usesCredentials(mirror, config.mirrors[mirror], reference)) {
    return { credentials: { file, unused: outsideInWords(mirror, reference) } };
  }
  const found = await new AuthFile(file, mirror).read();
  return "auth" in found
    ? { auth: found.auth, credentials: { file } }
    : { credentials: { file, problem: found.problem } };
}

/** Asks the daemon's state file how the daemon fares; `now` is milliseconds since the epoch. */
export async function checkDaemon(stateFile: string, now: number, options: LentOptions = {}): Promise<Finding[]> {
  const none = async (why: NoDaemon) => tidy([mirrors.judgeNoDaemon(why, await installed("gilly.service", options))]);
  try {
    const seen = await seeDaemon(stateFile, now);
    return seen.state === undefined ? await none(seen) : tidy(mirrors.judgeDaemon(seen.state, now));
  } catch (error) {
    return await none({ because: `${stateFile} cannot be read: ${describeError(error)}`, silent: false });
  }
}

async function checkKept(parts: NodeParts, signal: AbortSignal): Promise<Finding[]> {
  const imageStore = await parts.imageStore(signal);
  return await Promise.all(parts.config.keep.map(async (image) => {
    const planned = planImage(image, { ...parts, imageStore });
    if (isRefusal(planned)) return mirrors.judgeKept(image, { state: "refused", refusal: planned });
    return mirrors.judgeKept(image, await howKept(parts, planned, signal));
  }));
}

async function howKept({ config, runtime }: NodeParts, target: Target, signal: AbortSignal): Promise<mirrors.Kept> {
  const tried: string[] = [];
  let state: "lost" | "unanswered" = "lost";
  try {
    if (await runtime.inspect(target.name, signal) !== undefined) return { state: "present" };
  } catch (error) {
    return { state: "unknown", because: failureOf(error, signal).text };
  }
  for (const { mirror, reference } of target.candidates) {
    try {
      const { auth } = await credentialsFor(config, mirror, reference);
      if (await runtime.lookUp(reference, { signal, auth }) !== undefined) return { state: "absent", mirror };
      tried.push(`${mirror} has no ${reference}`);
    } catch (error) {
      state = "unanswered";
      tried.push(failureOf(error, signal).text);
    }
  }
  return { state, because: tried.join("; ") };
}

function failureOf(error: unknown, signal: AbortSignal): Failed {
  signal.throwIfAborted();
  if (!(error instanceof RuntimeError)) throw error;
  // What was attempted on what stands in the finding's name.
  return { kind: error.kind, text: describeError(error).replace(/^(?:look up|inspect) \S+: /, "") };
}

function notAsked(name: string, because: string): Finding {
  return warn(name, `not asked, since ${because}`, "fix that first, then check again");
}

// Answers come from elsewhere: one finding stays one line whatever they hold.
function tidy(findings: readonly Finding[]): Finding[] {
  return findings.map(({ remedy, ...rest }) => ({
    ...rest,
    message: printable(rest.message),
    ...(remedy === undefined ? {} : { remedy: printable(remedy) }),
  }));
}
