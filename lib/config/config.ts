// Reads and checks the config file. A config with mistakes is refused, and every mistake is listed
// with file, line and key. Secrets are never kept here, only the paths of their files.

import type { PollSettings } from "../daemon/schedule.ts";
import type { ExclusionPatterns } from "../images/exclusions.ts";
import { parseLocation } from "../images/location.ts";
import type { RegistryRule } from "../images/rules.ts";
import type { KubeletSettings } from "../kubelet/client.ts";
import type { LogSettings } from "../log/log.ts";
import type { MetricsSettings } from "../metrics/exporter.ts";
import type { MirrorSettings } from "../mirrors/pool.ts";
import type { PassSettings } from "../pass.ts";
import type { Backoff } from "../plan/retries.ts";
import type { ProxySettings } from "../proxy/settings.ts";
import type { LedgerLimits } from "../record/ledger.ts";
import type { RuntimeSettings } from "../runtime/open.ts";
import { mistakeInWrittenPath } from "../support/protected_folders.ts";
import { scrubUnknown } from "../support/scrub.ts";
import { quote } from "../support/text.ts";
import { mistakeInFile, mistakeInPair, reasonOf } from "./files.ts";
import { redirectableOrigins } from "./joined.ts";
import { KUBELET_FILES, type Settings } from "./keys.ts";
import { locateKeys } from "./positions.ts";
import type { KeyStep } from "./positions.ts";
import type { FileKind } from "./schema.ts";
import { checkSettings, filesNamedIn } from "./settings.ts";
import { HOSTNAME, resolveHostname } from "./values.ts";
import { readYamlMapping } from "./yaml.ts";

/**
 * The checked configuration. Every default is filled in, and every path is resolved against the
 * config file's folder.
 */
export interface Config {
  /** Path of the config file, as given. */
  readonly file: string;
  readonly kubelet: KubeletSettings;
  readonly runtime: RuntimeSettings["runtime"];
  readonly registries: readonly RegistryRule[];
  /** The key is the mirror's host, with its port if it has one. */
  readonly mirrors: Readonly<Record<string, MirrorSettings>>;
  readonly exclude: ExclusionPatterns;
  /** References of images to keep present at all times. */
  readonly keep: readonly string[];
  readonly repair: PassSettings["repair"] & RuntimeSettings["repair"] & {
    /** Concurrent pulls over all mirrors. */
    readonly concurrency: number;
    readonly backoff: Backoff;
    readonly onDigestChange: "warn" | "refuse";
  };
  readonly poll: PollSettings;
  readonly ledger: LedgerLimits & { readonly file: string };
  readonly proxy: ProxySettings;
  readonly metrics: MetricsSettings;
  readonly logging: LogSettings;
}

/** One mistake in the config. */
export interface ConfigMistake {
  readonly file: string;
  /**
   * 1-based; undefined if no line belongs to the mistake, for instance because a key is missing.
   */
  readonly line: number | undefined;
  /**
   * Dotted path, such as `registries."gcr.io"[1]`; empty if the mistake concerns the whole file.
   */
  readonly key: string;
  readonly message: string;
}

/**
 * Thrown when a config is refused. The message lists the mistakes, one per line, ready to print.
 */
export class ConfigError extends Error {
  override name = "ConfigError";
  readonly mistakes: readonly ConfigMistake[];

  constructor(mistakes: readonly ConfigMistake[], options: { cause?: unknown } = {}) {
    super(mistakes.map(describeMistake).join("\n"), options);
    this.mistakes = mistakes;
  }
}

/** Describes a mistake in one line: `FILE:LINE: KEY: what is wrong`. */
export function describeMistake({ file, line, key, message }: ConfigMistake): string {
  return [line === undefined ? file : `${file}:${line}`, key, message].filter((part) => part !== "").join(": ");
}

/**
 * Checks the text of a config file. It reads no files; the only outside value that it may use is
 * this host's name. Throws ConfigError.
 */
export function parseConfig(text: string, file: string): Config {
  const { config, mistakes } = examine(text, file);
  if (config === undefined) throw new ConfigError(mistakes);
  return config;
}

/**
 * Reads and checks the text of a config file, but none of the files that it names. Throws
 * ConfigError.
 */
export async function loadConfigText(file: string): Promise<Config> {
  return parseConfig(await readConfigText(file), file);
}

/**
 * Reads and checks a config file and every certificate, key, token and credentials file that it
 * names, and checks that the files to be written are in allowed places. Contents are not kept. A
 * mirror's credentials file may be missing, because it may be created later. `readAt` returns where
 * to read a file that the config names, or undefined if it is not to be read. Throws ConfigError
 * with every mistake in the config and in those files.
 */
export async function loadConfig(
  file: string,
  readAt: (path: string) => string | undefined = (path) => path,
): Promise<Config> {
  const { config, mistakes, namedFiles } = examine(await readConfigText(file), file);
  const found = await Promise.all(namedFiles.map(async ({ path, kind, mistakeHere }) => {
    const readable = readAt(path);
    const message = readable === undefined ? undefined : await mistakeInFile(readable, kind);
    return message === undefined ? [] : [mistakeHere(readable === path ? message : `${message} (loaded as ${path})`)];
  }));
  const all = [...mistakes, ...found.flat()];
  if (config === undefined || all.length > 0) throw new ConfigError(inFileOrder(all));
  const kubelet = { ...config.kubelet, ...filesReadAt(config.kubelet, readAt) };
  const { certFile, keyFile } = config.kubelet;
  const [certAt, keyAt] = [certFile, keyFile].map((path) => path === undefined ? undefined : readAt(path));
  if (certAt !== undefined && keyAt !== undefined) {
    const mismatch = await mistakeInPair(certAt, keyAt);
    const key = namedFiles.find(({ path, kind }) => kind === "key" && path === keyFile);
    if (mismatch !== undefined && key !== undefined) throw new ConfigError([key.mistakeHere(mismatch)]);
  }
  return { ...config, kubelet };
}

/** The files of the kubelet's settings, each with the path at which it is read. */
function filesReadAt(
  kubelet: Config["kubelet"],
  readAt: (path: string) => string | undefined,
): Partial<Config["kubelet"]> {
  const keys = Object.keys(KUBELET_FILES) as (keyof typeof KUBELET_FILES)[];
  return Object.fromEntries(keys.flatMap((key) => {
    const readable = kubelet[key] === undefined ? undefined : readAt(kubelet[key]);
    return readable === undefined ? [] : [[key, readable]];
  }));
}

/** A file named in the config, whose name passed the checks of the text. */
interface NamedFile {
  readonly path: string;
  readonly kind: FileKind;
  readonly mistakeHere: (message: string) => ConfigMistake;
}

interface Examination {
  /** Defined exactly when there are no mistakes. */
  readonly config: Config | undefined;
  readonly mistakes: readonly ConfigMistake[];
  readonly namedFiles: readonly NamedFile[];
}

function examine(text: string, file: string): Examination {
  const { document, line, key, message } = readYamlMapping(text);
  if (document === undefined) {
    return { config: undefined, mistakes: [mistake(file, line, key, message)], namedFiles: [] };
  }
  const lineOf = locateKeys(text);
  const at = (path: readonly KeyStep[], message: string) => mistake(file, lineOf(path), nameOfKey(path), message);
  const { settings: written, mistakes: inSettings } = checkSettings(document);
  const settings = written && withHostname(written);
  if (written !== undefined && settings === undefined) {
    const message = `${HOSTNAME} is ${
      quote(Deno.hostname())
    } here, which makes no host of a URL; write the node's name`;
    return { config: undefined, mistakes: [at(["kubelet", "url"], message)], namedFiles: [] };
  }
  const named = filesNamedIn(document).map((it) => ({ ...it, resolved: resolvePath(it.value, file) }));
  // A relative path starts at the config's own folder, which is usually /etc/gilly.
  const misplaced = named.filter(({ kind }) => kind === "written").flatMap(({ path, resolved }) => {
    const message = mistakeInWrittenPath(resolved);
    return message === undefined ? [] : [{ path, message }];
  });
  const mistakes = [...inSettings, ...misplaced];
  const wrong = new Set(mistakes.map(({ path }) => nameOfKey(path)));
  return {
    config: mistakes.length === 0 && settings !== undefined ? configOf(settings, file, lineOf) : undefined,
    mistakes: inFileOrder(mistakes.map(({ path, message }) => at(path, message))),
    namedFiles: named.filter(({ path }) => !wrong.has(nameOfKey(path))).map(({ path, resolved, kind }) => (
      { path: resolved, kind, mistakeHere: (message: string) => at(path, message) }
    )),
  };
}

/**
 * Returns the settings with `{hostname}` replaced by this host's name, or undefined if that name is
 * not a valid host in a URL.
 */
function withHostname(settings: Settings): Settings | undefined {
  const { url } = settings.kubelet;
  if (!url.includes(HOSTNAME)) return settings;
  const resolved = resolveHostname(url, Deno.hostname());
  return resolved === undefined ? undefined : { ...settings, kubelet: { ...settings.kubelet, url: resolved } };
}

function configOf(settings: Settings, file: string, lineOf: (path: readonly KeyStep[]) => number | undefined): Config {
  const { kubelet, docker, containerd, exclude, keep, repair, poll, ledger, proxy, metrics, logging } = settings;
  const resolve = (path: string | null | undefined) => typeof path === "string" ? resolvePath(path, file) : undefined;
  return {
    file,
    kubelet: {
      url: kubelet.url.replace(/\/$/, ""),
      ...given({
        caFile: resolve(kubelet.caFile),
        certFile: resolve(kubelet.certFile),
        keyFile: resolve(kubelet.keyFile),
        tokenFile: resolve(kubelet.tokenFile),
      }),
    },
    runtime: containerd === undefined ? { kind: "docker", ...docker! } : { kind: "containerd", ...containerd },
    registries: Object.entries(settings.registries).map(([origin, mirrors]) => (
      { origin, mirrors, line: lineOf(["registries", origin]) }
    )),
    mirrors: Object.fromEntries(
      Object.entries(settings.mirrors).map((
        [host, { authFile, authPaths, maxConcurrentPulls }],
      ) => [parseLocation(host).host, given({ authFile: resolve(authFile), authPaths, maxConcurrentPulls })]),
    ),
    exclude,
    keep,
    repair: {
      mode: repair.mode,
      concurrency: repair.concurrency,
      backoff: { initialSeconds: repair.backoff.initial, maxSeconds: repair.backoff.max },
      noProgressSeconds: repair.noProgress,
      onDigestChange: repair.onDigestChange,
    },
    poll: { intervalSeconds: poll.interval, safetySeconds: poll.safety, jitter: poll.jitter },
    ledger: { file: resolvePath(ledger.file, file), maxBytes: ledger.maxSize, keep: ledger.keep },
    proxy: {
      hosts: (proxy.hosts ?? redirectableOrigins(settings.registries)).map((host) => parseLocation(host).host),
      listen: proxy.listen,
      address: proxy.address,
      certFile: resolvePath(proxy.certFile, file),
      keyFile: resolvePath(proxy.keyFile, file),
      stallSeconds: proxy.stallTimeout,
      headersSeconds: proxy.headersTimeout,
      ledgerFile: resolvePath(proxy.ledgerFile, file),
    },
    metrics: given({ listen: metrics.listen, textfile: resolve(metrics.textfile) }),
    logging,
  };
}

/**
 * Drops the entries without a value: an optional key in YAML may be written with nothing after it.
 */
function given<Values extends object>(values: Values): { [Key in keyof Values]?: NonNullable<Values[Key]> } {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined && value !== null);
  return Object.fromEntries(entries) as { [Key in keyof Values]?: NonNullable<Values[Key]> };
}

/** Resolves a path against the folder of the config file. */
function resolvePath(path: string, file: string): string {
  return path.startsWith("/") ? path : file.replace(/[^/]*$/, "") + path.replace(/^(?:\.\/+)+/, "");
}

async function readConfigText(file: string): Promise<string> {
  const refuse = (message: string, cause: unknown): never => {
    throw new ConfigError([mistake(file, undefined, "", message)], { cause });
  };
  const bytes = await Deno.readFile(file).catch((error) => refuse(reasonOf(error), error));
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    return refuse("is not UTF-8 text; expected YAML", error);
  }
}

function mistake(file: string, line: number | undefined, key: string, message: string): ConfigMistake {
  return { file, line, key: scrubUnknown(key), message: scrubUnknown(message) };
}

/** Returns the dotted name of a key, such as `registries."gcr.io"[1]`. */
function nameOfKey(path: readonly KeyStep[]): string {
  return path.map((step, index) => {
    if (typeof step === "number") return `[${step}]`;
    return (index === 0 ? "" : ".") + (/^[A-Za-z][\w-]*$/.test(step) ? step : quote(step));
  }).join("");
}

function inFileOrder(mistakes: readonly ConfigMistake[]): readonly ConfigMistake[] {
  return mistakes.toSorted((left, right) => (left.line ?? 0) - (right.line ?? 0));
}
