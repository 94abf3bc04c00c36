// How to reach a mirror: with the CAs that the operator gave the runtime for it, over HTTPS, or over
// plain HTTP on this host. Docker's rules hold, which are containerd's too, so that one setting serves
// both (docs.docker.com, "Verify repository client with certificates" and "Deploy a registry").

import { isIPv4 } from "node:net";
import { withoutPort } from "../images/location.ts";

/** Where Docker has the CAs of registries: a folder for each host, with files that end in .crt. */
export const CERTS_FOLDER = "/etc/docker/certs.d";

/** The same of containerd, which also reads HOST/hosts.toml there (containerd, docs/hosts.md). */
export const CONTAINERD_CERTS_FOLDER = "/etc/containerd/certs.d";

const CERTS_FOLDERS = [CERTS_FOLDER, CONTAINERD_CERTS_FOLDER];

/** How long what was read is used, in milliseconds. */
const FRESH_MS = 5000;

interface Trusted {
  readonly client: Deno.HttpClient;
  readonly certificates: string;
  readonly checkedAt: number;
}

/** The HTTP clients of all mirrors. */
export class MirrorClients {
  readonly #folders: readonly string[];
  readonly #hostFiles: readonly string[];
  readonly #now: () => number;
  readonly #trusted = new Map<string, Trusted>();
  readonly #retired: Deno.HttpClient[] = [];
  /** Requests that come at once share one look. */
  readonly #looks = new Map<string, Promise<Deno.HttpClient>>();

  /**
   * The first of `hostFiles` that exists has more CAs, for a program that does not run with
   * DENO_TLS_CA_STORE=system, as the registry proxy does.
   */
  constructor(now: () => number, folders: readonly string[] = CERTS_FOLDERS, hostFiles: readonly string[] = []) {
    this.#now = now;
    this.#folders = folders;
    this.#hostFiles = hostFiles;
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
    const client = clientWith([certificates, await firstOf(this.#hostFiles)]) ?? clientWith([certificates])!;
    this.#trusted.set(mirror, { client, certificates, checkedAt: this.#now() });
    return client;
  }

  async #certificatesOf(mirror: string): Promise<string> {
    const found = await Promise.all(
      this.#folders.map((folder, index) =>
        certificatesIn(`${folder}/${mirror}`).catch((error) => {
          // A worker with Docker may keep containerd's folder to root.
          if (index > 0 && error instanceof Deno.errors.PermissionDenied) return "";
          throw error;
        })
      ),
    );
    return found.filter((text) => text !== "").join("\n");
  }

  close(): void {
    for (const client of [...this.#retired.splice(0), ...[...this.#trusted.values()].map(({ client }) => client)]) {
      client.close();
    }
    this.#trusted.clear();
  }
}

async function certificatesIn(folder: string): Promise<string> {
  try {
    const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name)
      .filter((name) => name.endsWith(".crt")).sort();
    return (await Promise.all(names.map((name) => Deno.readTextFile(`${folder}/${name}`)))).join("\n");
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return "";
    throw error;
  }
}

/** Returns a client that trusts these CAs too; undefined if they cannot be used, and are not the only ones. */
function clientWith(certificates: readonly string[]): Deno.HttpClient | undefined {
  const caCerts = certificates.filter((pem) => pem !== "");
  try {
    return Deno.createHttpClient({ http2: false, ...(caCerts.length === 0 ? {} : { caCerts }) });
  } catch (error) {
    // One certificate among those of the host that rustls does not take must not cost the others.
    if (certificates.length > 1) return undefined;
    throw error;
  }
}

/** Returns the contents of the first file that can be read, or an empty text. */
async function firstOf(files: readonly string[]): Promise<string> {
  for (const file of files) {
    const text = await Deno.readTextFile(file).catch(() => "");
    if (text !== "") return text;
  }
  return "";
}

/** Whether a host is on this machine, so that plain HTTP is tried after HTTPS (moby, registry/config.go, isSecureIndex). */
export function mayBePlain(mirror: string): boolean {
  const host = withoutPort(mirror);
  return host === "localhost" || host === "[::1]" || (isIPv4(host) && host.startsWith("127."));
}
