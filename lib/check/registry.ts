// Asks a mirror what it has, in place of a runtime that cannot ask without pulling.

import { parseReference } from "../images/reference.ts";
import { MirrorClients } from "../proxy/trust.ts";
import { Upstream, UpstreamError } from "../proxy/upstream.ts";
import { RuntimeError, type RuntimeErrorKind } from "../runtime/errors.ts";
import type { Resolve } from "../runtime/runtime.ts";

/** Milliseconds that a mirror may take to answer. */
const ANSWER_MS = 5000;

/** Every form of a manifest that a kubelet's runtime can use. */
const MANIFESTS = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.docker.distribution.manifest.v2+json",
].join(", ");

/**
 * Returns a replacement for a runtime's `resolve`. `certsFolder` has the CAs of mirrors: a folder
 * for each host, with files that end in .crt. `now` is Clock.now.
 */
export function askingMirrors(certsFolder: string, now: () => number): Resolve {
  return async (name, { signal, auth }) => {
    const { domain, path, tag, digest } = parseReference(name);
    const clients = new MirrorClients(now, certsFolder);
    try {
      const response = await new Upstream({ clients, headersTimeoutMs: ANSWER_MS, now }).request({
        mirror: domain,
        repository: path,
        resource: `manifests/${digest ?? tag}`,
        method: "HEAD",
        headers: { accept: MANIFESTS },
        auth,
        signal,
      });
      return { digest: response.headers.get("docker-content-digest") ?? digest ?? "" };
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof UpstreamError)) throw error;
      if (error.kind === "not-found") return undefined;
      const { retryAfterSeconds } = error;
      throw new RuntimeError(kindOf(error), `resolve ${name}: ${error.message}`, { retryAfterSeconds });
    } finally {
      clients.close();
    }
  };
}

function kindOf({ kind }: UpstreamError): RuntimeErrorKind {
  return kind === "digest-changed" ? "failed" : kind;
}
