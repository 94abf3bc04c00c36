// Checks who can use credentials: which files with secrets other users of this host can read or
// change, and which images any pod can pull with them.

import type { Config } from "../../config/config.ts";
import type { AuthSettings } from "../../images/auth_paths.ts";
import { formatLocation, parseLocation } from "../../images/location.ts";
import type { RegistryRule } from "../../images/rules.ts";
import { type Finding, warn } from "../finding.ts";

/** Checks both for a config; `sourceOf` returns the file that systemd copied to a path, or the path itself. */
export async function checkCredentials(config: Config, sourceOf: (path: string) => string): Promise<Finding[]> {
  return [...await openSecrets(config, sourceOf), ...checkOpenCredentials(config.registries, config.mirrors)];
}

/**
 * Warns about a file with a secret if its permission bits let every user of this host read or
 * change it. The bits of the owning group are not checked.
 */
export function checkSecretFile(key: string, file: string, mode: number): Finding | undefined {
  if ((mode & 0o006) === 0) return undefined;
  const bits = (mode & 0o777).toString(8).padStart(4, "0");
  const message = `${file} holds a secret, but its mode ${bits} gives every user of this host access`;
  return warn(key, message, `chmod o= ${file}`);
}

/**
 * Warns about credentials that any pod can use because of a rule for `*`: its mirror is asked for
 * any path that a pod names, and the pod's imagePullSecrets are not checked. `settings` are the
 * settings of the mirrors, by host.
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

// Systemd protects its copy of a file, so what counts is who can read the source.
async function openSecrets({ kubelet, mirrors }: Config, sourceOf: (path: string) => string): Promise<Finding[]> {
  const secrets = [
    ["kubelet.keyFile", kubelet.keyFile],
    ["kubelet.tokenFile", kubelet.tokenFile],
    ...Object.entries(mirrors).map(([host, { authFile }]) => [`mirrors."${host}".authFile`, authFile] as const),
  ] as const;
  const found = await Promise.all(secrets.map(async ([key, path]) => {
    if (path === undefined) return undefined;
    const file = sourceOf(path);
    const mode = await Deno.stat(file).then(({ mode }) => mode, () => null);
    return mode === null ? undefined : checkSecretFile(key, file, mode);
  }));
  return found.filter((finding) => finding !== undefined);
}
