// Reads and checks the files that systemd loads as credentials for a service: the copies under
// /run/credentials, which exist only while the service runs, and their sources, which the
// LoadCredential= lines of the unit name.

import { reasonOf } from "../../config/files.ts";
import { KUBELET_FILES } from "../../config/keys.ts";
import { DENIED } from "../../support/errors.ts";
import { AS_ROOT, fail, type Finding, ok, warn } from "../finding.ts";
import { type Installed, type LentFile, originOf, watchedBy } from "./unit_file.ts";

/**
 * The folders of systemd's units. A unit in an earlier folder hides one in a later
 * (systemd.unit(5)).
 */
const UNIT_FOLDERS = [
  "/etc/systemd/system",
  "/run/systemd/system",
  "/usr/local/lib/systemd/system",
  "/usr/lib/systemd/system",
  "/lib/systemd/system",
];

/** The unit that restarts the service after one of its files is renewed; gilly-setup turns it on. */
const RENEWAL = "gilly-renew.path";

const LARGEST_FILE = 1024 * 1024;

/**
 * `root` is the root of the host's file tree, for tests. With `nextStart` the next start of the
 * service is checked, not the running service.
 */
export interface LentOptions {
  readonly root?: string;
  readonly nextStart?: boolean;
}

/** Whether systemd loads the file at this path as a credential for a service. */
export function isLent(path: string, { root = "" }: LentOptions = {}): boolean {
  return path.startsWith(`${root}/run/credentials/`);
}

/**
 * Returns what is known about a file that systemd loads as a credential, or undefined if the path
 * is not below /run/credentials. Never throws.
 */
export async function lentFile(path: string, options: LentOptions = {}): Promise<LentFile | undefined> {
  const { root = "", nextStart = false } = options;
  const folder = `${root}/run/credentials/`;
  const [, unit, name] = path.startsWith(folder)
    ? /^([^/]+\.service)\/([^/]+)$/.exec(path.slice(folder.length)) ?? []
    : [];
  if (unit === undefined || name === undefined) return undefined;
  const origin = originOf(name, await textsOf(unit, root));
  const source = origin !== undefined && "file" in origin ? origin.file : undefined;
  const [copy, original] = await Promise.all([contentsOf(path), source === undefined ? undefined : contentsOf(source)]);
  const watched = source !== undefined && await watches(unit, source, root);
  const inUse = !("missing" in copy);
  const drift = "bytes" in copy ? driftOf(copy.bytes, original) : undefined;
  const known = { unit, source, watched, inUse, drift, unknown: false, problem: undefined };
  if ("bytes" in copy && !(nextStart && source !== undefined)) return { ...known, at: path };
  if (original !== undefined && !("denied" in original)) return { ...known, at: source };
  return {
    ...known,
    at: undefined,
    ...problemWith({ unit, name, source, original, hidden: origin !== undefined, copy }),
  };
}

/**
 * Returns those of the kubelet's files in a config that systemd loads as credentials, by their path
 * in the config.
 */
export async function lentFilesOf(
  kubelet: { readonly [key in keyof typeof KUBELET_FILES]?: string },
  options: LentOptions = {},
): Promise<ReadonlyMap<string, LentFile>> {
  const paths = Object.keys(KUBELET_FILES).map((key) => kubelet[key as keyof typeof KUBELET_FILES]);
  const found = await Promise.all(paths.map(async (path) => {
    const lent = path === undefined ? undefined : await lentFile(path, options);
    return lent === undefined ? [] : [[path!, lent] as const];
  }));
  return new Map(found.flat());
}

/** Returns whether a unit is installed or masked on this host. */
export async function installed(unit: string, { root = "" }: LentOptions = {}): Promise<Installed> {
  for (const folder of UNIT_FOLDERS) {
    const path = `${root}${folder}/${unit}`;
    if (await isMask(path)) return "masked";
    if (await textOf(path) !== undefined) return "installed";
  }
  return "absent";
}

/** Returns the finding for a file that systemd loads as a credential and that could not be read. */
export function checkOutOfReach(key: string, path: string, { unit, problem = "", unknown }: LentFile): Finding {
  if (unknown) {
    return fail(
      key,
      `${path} is not provided by any unit: ${problem}`,
      `add that line: systemctl edit ${nameOf(unit)}`,
    );
  }
  const remedy = problem.includes(DENIED) ? AS_ROOT : `check again while it runs: systemctl start ${nameOf(unit)}`;
  return warn(key, `${path} was not checked: ${problem}`, remedy);
}

/** Checks whether the service runs with the current contents of its files. */
export function checkDrift(key: string, { unit, source, drift, watched }: LentFile): Finding[] {
  const restart = `systemctl restart ${nameOf(unit)}`;
  if (drift === undefined) return [];
  if (drift === "gone") {
    const message = `${source}, of which ${unit} has a copy, does not exist: its next start will fail`;
    return [warn(key, message, `put it back, or correct its LoadCredential= line: systemctl edit ${nameOf(unit)}`)];
  }
  const message = `${source} was replaced, and ${unit} still runs with the old one`;
  return [warn(key, message, watched ? `${restart}; journalctl -u gilly-renew -n 20 says why it was not` : restart)];
}

/** Checks whether the next start of the service would load other contents. */
export function checkRenewal(renewed: boolean): Finding {
  const name = "renewal";
  return renewed
    ? ok(name, "a restart of the service would load files that differ from those it runs with")
    : fail(name, "the service already runs with these files", "nothing to do");
}

/** Returns how to replace a file: systemd copies credentials only when the service starts. */
export function renewalOf({ unit, source, watched, at }: LentFile, what = source): string {
  return watched && at !== source
    ? `replace ${what}; gilly-renew.path then restarts the service`
    : `replace ${what}, then: systemctl restart ${nameOf(unit)}`;
}

function nameOf(unit: string): string {
  return unit.replace(/\.service$/, "");
}

type Contents = { readonly bytes: Uint8Array } | { readonly missing: true } | { readonly denied: string };

async function contentsOf(path: string): Promise<Contents> {
  try {
    const { isFile, size } = await Deno.stat(path);
    // Anything that is not a file, or is too large, is reported when its contents are checked.
    return { bytes: isFile && size <= LARGEST_FILE ? await Deno.readFile(path) : new Uint8Array() };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return { missing: true };
    return { denied: reasonOf(error) };
  }
}

function driftOf(copy: Uint8Array, original: Contents | undefined): LentFile["drift"] {
  if (original === undefined || "denied" in original) return undefined;
  if ("missing" in original) return "gone";
  const { bytes } = original;
  return copy.length === bytes.length && copy.every((byte, index) => byte === bytes[index]) ? undefined : "replaced";
}

function problemWith(
  { unit, name, source, original, hidden, copy }: {
    readonly unit: string;
    readonly name: string;
    readonly source: string | undefined;
    readonly original: Contents | undefined;
    readonly hidden: boolean;
    readonly copy: Contents;
  },
): Pick<LentFile, "problem" | "unknown"> {
  if ("denied" in copy) return { problem: `the copy that ${unit} runs with ${copy.denied}`, unknown: false };
  if (original !== undefined && "denied" in original) {
    return { problem: `${source}, of which it is a copy, ${original.denied}`, unknown: false };
  }
  if (hidden) return { problem: `it is there only while ${unit} runs`, unknown: false };
  return { problem: `${unit} has no LoadCredential=${name}:FILE`, unknown: true };
}

async function watches(unit: string, source: string, root: string): Promise<boolean> {
  const enabled = await Deno.lstat(`${root}/etc/systemd/system/${unit}.wants/${RENEWAL}`).then(() => true, () => false);
  return enabled && watchedBy(await textsOf(RENEWAL, root)).includes(source);
}

/**
 * Returns the texts of the unit file and its drop-ins, in the order in which systemd reads them.
 */
async function textsOf(unit: string, root: string): Promise<string[]> {
  const folders = UNIT_FOLDERS.map((folder) => `${root}${folder}/${unit}`);
  const main = (await Promise.all(folders.map(textOf))).find((text) => text !== undefined);
  const dropIns = new Map<string, string>();
  for (const folder of folders) {
    for (const name of await namesIn(`${folder}.d`)) {
      if (name.endsWith(".conf") && !dropIns.has(name)) dropIns.set(name, `${folder}.d/${name}`);
    }
  }
  const sorted = [...dropIns].sort(([left], [right]) => left < right ? -1 : 1);
  const texts = await Promise.all(sorted.map(([, path]) => textOf(path)));
  return [main, ...texts].filter((text) => text !== undefined);
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return (await Deno.stat(path)).isFile ? await Deno.readTextFile(path) : undefined;
  } catch {
    return undefined;
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
  } catch {
    return [];
  }
}

/** `systemctl mask` makes a symbolic link to /dev/null; an empty file also masks a unit. */
async function isMask(path: string): Promise<boolean> {
  try {
    const { isFile, size } = await Deno.stat(path);
    return isFile ? size === 0 : await Deno.realPath(path) === "/dev/null";
  } catch {
    return false;
  }
}
