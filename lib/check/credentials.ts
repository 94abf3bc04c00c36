// Checks who can get at credentials: users of this host at the files that hold them, and pods at what they open.

import type { Config } from "../config/config.ts";
import type { AuthSettings } from "../images/auth_paths.ts";
import { formatLocation, parseLocation } from "../images/location.ts";
import type { RegistryRule } from "../images/rules.ts";
import { type Finding, warn } from "./finding.ts";

/** Both, of the files that a config names; `readAt` says where each is to be read, if anywhere. */
export async function checkCredentials(
  config: Config,
  readAt: (path: string) => string | undefined,
): Promise<Finding[]> {
  return [...await openSecrets(config, readAt), ...checkOpenCredentials(config.registries, config.mirrors)];
}

/** A file with a secret that users of this host may read or change by its permission bits, the owner's group left out. */
export function checkSecretFile(key: string, file: string, mode: number): Finding | undefined {
  if ((mode & 0o006) === 0) return undefined;
  const bits = (mode & 0o777).toString(8).padStart(4, "0");
  const message = `${file} holds a secret, but its mode ${bits} gives every user of this host access`;
  return warn(key, message, `chmod o= ${file}`);
}

/**
 * Credentials that a rule for everything lets any pod use: its mirror is asked for whatever path a pod names, and nobody
 * asks for the pod's imagePullSecrets. `settings` are the mirrors' own, by host.
 */
export function checkOpenCredentials(
  rules: readonly RegistryRule[],
  settings: Readonly<Record<string, AuthSettings>>,
): Finding[] {
  const everything = rules.filter(({ origin }) => origin === "*").flatMap(({ mirrors }) => mirrors.map(parseLocation));
  return Object.entries(settings).flatMap(([mirror, { authFile, authPaths }]) => {
    const location = everything.find(({ host }) => host === mirror);
    const isBounded = authPaths !== undefined && !authPaths.includes("**");
    if (authFile === undefined || location === undefined || isBounded) return [];
    const message =
      `with the rule "*", any pod can run whatever ${authFile} gives access to on ${formatLocation(location)}, ` +
      "without imagePullSecrets";
    const remedy = `use a robot account that sees only public or proxied projects, or limit it: ` +
      `mirrors."${mirror}".authPaths`;
    return [warn(`credentials of ${mirror}`, message, remedy)];
  });
}

// What is lent is looked at where everybody may find it, not where systemd copies it to.
async function openSecrets(
  { kubelet, mirrors }: Config,
  readAt: (path: string) => string | undefined,
): Promise<Finding[]> {
  const secrets = [
    ["kubelet.keyFile", kubelet.keyFile],
    ["kubelet.tokenFile", kubelet.tokenFile],
    ...Object.entries(mirrors).map(([host, { authFile }]) => [`mirrors."${host}".authFile`, authFile] as const),
  ] as const;
  const found = await Promise.all(secrets.map(async ([key, path]) => {
    const file = path === undefined ? undefined : readAt(path);
    const mode = file === undefined ? null : await Deno.stat(file).then(({ mode }) => mode, () => null);
    return mode === null ? undefined : checkSecretFile(key, file!, mode);
  }));
  return found.filter((finding) => finding !== undefined);
}
