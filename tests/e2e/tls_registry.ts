// Registries over TLS for tests of the runtimes' own mirror settings. All are on loopback; the
// caller must stop what it starts.

import { makeAuthority } from "../fakes/certificates.ts";
import { startRegistry } from "./engine.ts";
import { putImage, randomLayer } from "./registry_images.ts";

/** A running docker-registry that serves HTTPS with a certificate of its own CA. */
export interface TlsRegistry extends AsyncDisposable {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  /** PEM file of the CA. Go programs find it through SSL_CERT_FILE. */
  readonly authorityFile: string;
  /** Puts a unique image there and returns the digest of its manifest. */
  push(repository: string, tag: string): Promise<string>;
}

/** Starts a registry whose data, certificate and log are under `dir`. */
export async function startTlsRegistry(dir: string): Promise<TlsRegistry> {
  const authority = makeAuthority("gilly test authority");
  const registry = await startRegistry(dir, { certificate: authority.issueServer({ ipAddresses: ["127.0.0.1"] }) });
  const authorityFile = `${dir}/ca.crt`;
  await Deno.writeTextFile(authorityFile, authority.certificatePem);
  const client = Deno.createHttpClient({ caCerts: [authority.certificatePem] });
  return {
    host: registry.host,
    authorityFile,
    push: async (repository, tag) =>
      await putImage({ host: registry.host, client }, repository, tag, [await randomLayer(100)]),
    async [Symbol.asyncDispose]() {
      client.close();
      await registry.stop();
    },
  };
}
