// Real registries over TLS for tests of runtimes' own mirror settings, and the smallest images that these runtimes pull.
// Everything is on loopback; whoever starts one stops it.

import { makeAuthority } from "../fakes/certificates.ts";
import { Daemon, tarOf } from "./engine.ts";

/** A running docker-registry that speaks HTTPS with a certificate of an authority of its own. */
export interface TlsRegistry extends AsyncDisposable {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  /** PEM of the authority. Go programs take it in SSL_CERT_FILE. */
  readonly authorityFile: string;
  /** Puts an image there that differs from all others, and returns the digest of its manifest. */
  push(repository: string, tag: string): Promise<string>;
}

/** Starts a registry whose data, certificate and log are under `dir`. */
export async function startTlsRegistry(dir: string): Promise<TlsRegistry> {
  await Deno.mkdir(dir, { recursive: true });
  const authority = makeAuthority("gilly test authority");
  const { certificatePem, keyPem } = authority.issueServer({ ipAddresses: ["127.0.0.1"] });
  const authorityFile = `${dir}/ca.crt`;
  await Deno.writeTextFile(authorityFile, authority.certificatePem);
  await Deno.writeTextFile(`${dir}/server.crt`, certificatePem);
  await Deno.writeTextFile(`${dir}/server.key`, keyPem);
  await Deno.writeTextFile(
    `${dir}/registry.yml`,
    `version: 0.1\nlog: {level: info}\nstorage: {filesystem: {rootdirectory: "${dir}/data"}}\n` +
      `http: {addr: "127.0.0.1:0", tls: {certificate: "${dir}/server.crt", key: "${dir}/server.key"}}\n`,
  );
  const daemon = new Daemon("docker-registry", ["serve", `${dir}/registry.yml`], `${dir}/registry.log`);
  const host = /listening on ([0-9.]+:\d+)/.exec(await daemon.start("listening on"))?.[1];
  if (host === undefined) throw new Error(`docker-registry did not say where it listens; see ${dir}/registry.log`);
  const client = Deno.createHttpClient({ caCerts: [authority.certificatePem] });
  return {
    host,
    authorityFile,
    push: (repository, tag) => pushImage({ url: `https://${host}/v2/${repository}`, client }, tag),
    async [Symbol.asyncDispose]() {
      client.close();
      await daemon.stop();
    },
  };
}

interface Repository {
  readonly url: string;
  readonly client: Deno.HttpClient;
}

const OCI = "application/vnd.oci.image";

/** An image of one file that says where it is (OCI image-spec; distribution-spec, pushing). */
async function pushImage(repository: Repository, tag: string): Promise<string> {
  const layer = tarOf({ "which": `${repository.url}:${tag}\n` });
  const architecture = { x86_64: "amd64", aarch64: "arm64" }[Deno.build.arch];
  const rootfs = { type: "layers", diff_ids: [await digestOf(layer)] };
  const config = bytesOf({ architecture, os: "linux", config: {}, rootfs });
  const manifest = bytesOf({
    schemaVersion: 2,
    mediaType: `${OCI}.manifest.v1+json`,
    config: await pushBlob(repository, `${OCI}.config.v1+json`, config),
    layers: [await pushBlob(repository, `${OCI}.layer.v1.tar`, layer)],
  });
  const headers = { "Content-Type": `${OCI}.manifest.v1+json` };
  await ask(repository, "PUT", `${repository.url}/manifests/${tag}`, { headers, body: manifest });
  return await digestOf(manifest);
}

async function pushBlob(repository: Repository, mediaType: string, body: Uint8Array<ArrayBuffer>): Promise<unknown> {
  const digest = await digestOf(body);
  const begun = await ask(repository, "POST", `${repository.url}/blobs/uploads/`);
  const target = new URL(begun.headers.get("Location")!, repository.url);
  target.searchParams.set("digest", digest);
  await ask(repository, "PUT", target.href, { headers: { "Content-Type": "application/octet-stream" }, body });
  return { mediaType, digest, size: body.byteLength };
}

async function ask({ client }: Repository, method: string, url: string, init: RequestInit = {}): Promise<Response> {
  const response = await fetch(url, { method, client, ...init });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${url}: ${response.status} ${text}`);
  return response;
}

function bytesOf(value: unknown): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(value));
}

async function digestOf(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return `sha256:${[...sum].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
