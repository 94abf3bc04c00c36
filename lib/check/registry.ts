// Asks a mirror what it has, in place of a runtime that cannot ask without pulling.

import { parseReference } from "../images/reference.ts";
import { MirrorClients } from "../proxy/trust.ts";
import { Upstream, UpstreamError } from "../proxy/upstream.ts";
import { RuntimeError, type RuntimeErrorKind } from "../runtime/errors.ts";
import type { Resolve } from "../runtime/runtime.ts";

/** Milliseconds that a mirror may take to answer. */
const ANSWER_MS = 5000;

/** Where distributions have the CAs that a host trusts (Go, crypto/x509/root_linux.go), as containerd finds them. */
const HOST_FILES = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/pki/tls/cacert.pem",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

/** Every form of a manifest that a kubelet's runtime can use. */
const MANIFESTS = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.docker.distribution.manifest.v2+json",
].join(", ");

/** Failures that a second request would only repeat. */
const WITHOUT_BODY: ReadonlySet<string> = new Set(["registry-down", "rate-limited", "stalled", "proxy-refused"]);

/**
 * Returns a replacement for a runtime's `resolve`. `certsFolder` has the CAs of mirrors: a folder
 * for each host, with files that end in .crt; `hostFiles` are where this host has its own. `now` is
 * Clock.now.
 */
export function askingMirrors(certsFolder: string, now: () => number, hostFiles = HOST_FILES): Resolve {
  return async (name, { signal, auth }) => {
    const { domain, path, tag, digest } = parseReference(name);
    const clients = new MirrorClients(now, [certsFolder], hostFiles);
    const upstream = new Upstream({ clients, headersTimeoutMs: ANSWER_MS, now });
    const asked = (method: "GET" | "HEAD") =>
      upstream.request({
        mirror: domain,
        repository: path,
        resource: `manifests/${digest ?? tag}`,
        method,
        headers: { accept: MANIFESTS },
        auth,
        signal,
      });
    try {
      const response = await asked("HEAD").catch((error) => {
        // Only a body says why, and whether a registry wrote it.
        if (error instanceof UpstreamError && !WITHOUT_BODY.has(error.kind)) return asked("GET");
        throw error;
      });
      await response.body?.cancel();
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
