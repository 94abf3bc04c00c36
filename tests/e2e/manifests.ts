// Reads and makes manifests over a registry's HTTP API (distribution specification), in ways that
// no Engine does.

const MANIFESTS = [
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
];
const INDEX = "application/vnd.docker.distribution.manifest.list.v2+json";

/** A registry's description of a manifest; `size` is its length in bytes. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

/** Describes the manifest or index `path:tag` of a registry. Throws if there is none. */
export async function descriptorOf(host: string, path: string, tag: string): Promise<Descriptor> {
  const url = `http://${host}/v2/${path}/manifests/${tag}`;
  const response = await fetch(url, { headers: { Accept: MANIFESTS.join(", ") } });
  const { byteLength: size } = await response.arrayBuffer();
  const digest = response.headers.get("Docker-Content-Digest");
  const mediaType = response.headers.get("Content-Type");
  if (response.status !== 200 || digest === null || mediaType === null) throw new Error(`${url}: ${response.status}`);
  return { mediaType, digest, size };
}

/** Puts an index of manifests of the same repository at `path:tag` and returns its digest. */
export async function putIndex(
  host: string,
  path: string,
  tag: string,
  manifests: readonly (Descriptor & { readonly architecture: string })[],
): Promise<string> {
  const url = `http://${host}/v2/${path}/manifests/${tag}`;
  const body = JSON.stringify({
    schemaVersion: 2,
    mediaType: INDEX,
    manifests: manifests.map(({ architecture, ...descriptor }) => ({
      ...descriptor,
      platform: { os: "linux", architecture },
    })),
  });
  const response = await fetch(url, { method: "PUT", headers: { "Content-Type": INDEX }, body });
  const text = await response.text();
  const digest = response.headers.get("Docker-Content-Digest");
  if (response.status !== 201 || digest === null) throw new Error(`PUT ${url}: ${response.status} ${text}`);
  return digest;
}
