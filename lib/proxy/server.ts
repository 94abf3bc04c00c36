// The registry endpoint on its port: TLS with a certificate that may be renewed, and a bound on
// connections. None is kept for another request: Docker closes each (moby, distribution/registry.go,
// DisableKeepAlives).

import { describeError } from "../support/errors.ts";
import { fingerprintOf } from "../support/files.ts";
import { HttpServer, type HttpServerOptions, type ListenAddress } from "../support/http/server.ts";
import type { ProxyObserver } from "./observer.ts";

/** An Engine has three layers under way at once, containerd as many; other programs are few. */
const MOST_CONNECTIONS = 128;

/** Milliseconds for a client to take one chunk: a slow disk must not end its pull. */
const CHUNK_MS = 5 * 60_000;

/** Options of a server. */
export interface RegistryServerOptions {
  readonly listen: ListenAddress;
  readonly certFile: string;
  readonly keyFile: string;
  readonly handle: HttpServerOptions["handle"];
  readonly observer: ProxyObserver;
  /** Called when the port had to be released. */
  readonly onEnd: (error: unknown) => void;
}

/** A running endpoint. */
export class RegistryServer {
  readonly #options: RegistryServerOptions;
  readonly #server: HttpServer;
  #fingerprint: string;

  private constructor(options: RegistryServerOptions, server: HttpServer, fingerprint: string) {
    this.#options = options;
    this.#server = server;
    this.#fingerprint = fingerprint;
  }

  /** Listens. Throws Error, which says whether the certificate or the port cannot be used. */
  static async open(options: RegistryServerOptions): Promise<RegistryServer> {
    const { listen, certFile, keyFile, handle, onEnd } = options;
    const fingerprint = await fingerprintsOf(options);
    const certificate = await readPair(options);
    const at = `${listen.hostname}:${listen.port}`;
    try {
      const limits = { connections: MOST_CONNECTIONS, dropsBusy: false, chunkMs: CHUNK_MS };
      const server = new HttpServer({ ...listen, ...limits, certificate, handle, onEnd });
      return new RegistryServer(options, server, fingerprint);
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) {
        throw new Error(`cannot serve ${at} with ${certFile} and ${keyFile}: ${describeError(error)}`, {
          cause: error,
        });
      }
      throw new Error(`cannot listen on ${at}: another program has that port, run 'ss -tlnp' as root to see which`);
    }
  }

  /** The port, which the system chose if the options have port 0. */
  get port(): number {
    return this.#server.port;
  }

  /** Uses the certificate in the files if they have changed. Never throws: the old one stays. */
  async renew(): Promise<void> {
    const { certFile, observer } = this.#options;
    try {
      const fingerprint = await fingerprintsOf(this.#options);
      if (fingerprint === this.#fingerprint) return;
      await this.#server.replaceCertificate(await readPair(this.#options));
      this.#fingerprint = fingerprint;
      observer.certificateReplaced?.(certFile);
    } catch (error) {
      observer.certificateFailed?.(error);
    }
  }

  /** Ends every request. */
  async close(): Promise<void> {
    await this.#server.close();
  }
}

type Files = Pick<RegistryServerOptions, "certFile" | "keyFile">;

async function fingerprintsOf({ certFile, keyFile }: Files): Promise<string> {
  return (await Promise.all([certFile, keyFile].map((file) => reading(file, fingerprintOf)))).join(" ");
}

async function readPair({ certFile, keyFile }: Files): Promise<{ readonly cert: string; readonly key: string }> {
  const [cert, key] = await Promise.all([certFile, keyFile].map((file) => reading(file, Deno.readTextFile)));
  return { cert: cert!, key: key! };
}

async function reading<Result>(file: string, read: (file: string) => Promise<Result>): Promise<Result> {
  try {
    return await read(file);
  } catch (error) {
    const hint = error instanceof Deno.errors.NotFound ? "; gilly-redirect prepare makes it" : "";
    throw new Error(`cannot read ${file}: ${describeError(error)}${hint}`, { cause: error });
  }
}
