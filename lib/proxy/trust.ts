// How to reach a mirror: with the CAs that the operator gave Docker for it, over HTTPS, or over
// plain HTTP on this host. Docker's rules hold, so that one setting serves both
// (docs.docker.com, "Verify repository client with certificates" and "Deploy a registry").

import { isIPv4 } from "node:net";
import { withoutPort } from "../images/location.ts";

/** Where Docker has the CAs of registries: a folder for each host, with files that end in .crt. */
export const CERTS_FOLDER = "/etc/docker/certs.d";

/** How long what was read is used, in milliseconds. */
const FRESH_MS = 5000;

interface Trusted {
  readonly client: Deno.HttpClient;
  readonly certificates: string;
  readonly checkedAt: number;
}

/** The HTTP clients of all mirrors. */
export class MirrorClients {
  readonly #folder: string;
  readonly #now: () => number;
  readonly #trusted = new Map<string, Trusted>();
  readonly #retired: Deno.HttpClient[] = [];
  /** Requests that come at once share one look. */
  readonly #looks = new Map<string, Promise<Deno.HttpClient>>();

  constructor(now: () => number, folder = CERTS_FOLDER) {
    this.#now = now;
    this.#folder = folder;
  }

  /** Returns the client for a mirror; a new one if its CAs have changed. Never throws for an absent folder. */
  async of(mirror: string): Promise<Deno.HttpClient> {
    const known = this.#trusted.get(mirror);
    if (known !== undefined && this.#now() - known.checkedAt < FRESH_MS) return known.client;
    let look = this.#looks.get(mirror);
    if (look === undefined) {
      look = this.#look(mirror, known).finally(() => this.#looks.delete(mirror));
      this.#looks.set(mirror, look);
    }
    return await look;
  }

  async #look(mirror: string, known: Trusted | undefined): Promise<Deno.HttpClient> {
    const certificates = await this.#certificatesOf(mirror);
    if (known?.certificates === certificates) {
      this.#trusted.set(mirror, { ...known, checkedAt: this.#now() });
      return known.client;
    }
    // Requests under way keep the old client, so it is closed with the others.
    if (known !== undefined) this.#retired.push(known.client);
    const client = Deno.createHttpClient({
      http2: false,
      ...(certificates === "" ? {} : { caCerts: [certificates] }),
    });
    this.#trusted.set(mirror, { client, certificates, checkedAt: this.#now() });
    return client;
  }

  async #certificatesOf(mirror: string): Promise<string> {
    const folder = `${this.#folder}/${mirror}`;
    try {
      const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name)
        .filter((name) => name.endsWith(".crt")).sort();
      return (await Promise.all(names.map((name) => Deno.readTextFile(`${folder}/${name}`)))).join("\n");
    } catch (error) {
      if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return "";
      throw error;
    }
  }

  close(): void {
    for (const client of [...this.#retired.splice(0), ...[...this.#trusted.values()].map(({ client }) => client)]) {
      client.close();
    }
    this.#trusted.clear();
  }
}

/** Whether a host is on this machine, so that plain HTTP is tried after HTTPS (moby, registry/config.go, isSecureIndex). */
export function mayBePlain(mirror: string): boolean {
  const host = withoutPort(mirror);
  return host === "localhost" || host === "[::1]" || (isIPv4(host) && host.startsWith("127."));
}
