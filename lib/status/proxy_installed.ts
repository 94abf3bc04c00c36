// Whether the registry proxy is installed on this host; what is told of it depends on that.

import type { ProxyState } from "./proxy_state.ts";

/** The signs of an installed proxy. */
export interface ProxySigns {
  /** See ProxySettings. */
  readonly certFile: string;
  /** The state of a running proxy. */
  readonly state: ProxyState | undefined;
  /** The registries whose pulls are led to it. */
  readonly redirected: ReadonlySet<string>;
}

/**
 * Reports whether the registry proxy is installed: gilly-redirect makes its certificate before the
 * first start, and one that runs or that pulls are led to is installed even if its certificate is
 * gone. A certificate that cannot be seen counts.
 */
export async function isProxyInstalled({ certFile, state, redirected }: ProxySigns): Promise<boolean> {
  if (state !== undefined || redirected.size > 0) return true;
  const isAbsent = (error: unknown) =>
    error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory;
  return await Deno.stat(certFile).then(() => true, (error) => !isAbsent(error));
}
