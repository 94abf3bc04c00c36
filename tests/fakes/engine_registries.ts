// What Engine 20.10 reports of the registries that it asks.
import { type FakeImage, type FakeReference, familiarName } from "./image_store.ts";
import { consult, type FakeRegistry, type SentCredentials } from "./registries.ts";

/** Returns the Engine's answer with a JSON error. */
export function message(status: number, text: string): Response {
  return Response.json({ message: text }, { status });
}

/**
 * Returns the image that a registry serves, or else the Engine's error answer; `auth` is the
 * X-Registry-Auth header.
 */
export function askRegistry(
  registry: FakeRegistry | undefined,
  reference: FakeReference,
  auth: string | undefined,
): Response | FakeImage {
  const { host, path, tag, digest } = reference;
  const server = host === "docker.io" ? "registry-1.docker.io" : host;
  const api = `https://${server}/v2`;
  const sent = credentialsOf(auth);
  const answer = consult(registry, reference, sent);
  const shown = familiarName(reference.name) + (digest === undefined ? `:${tag}` : `@${digest}`);
  switch (answer.result) {
    case "image":
      return answer.image;
    case "unknown-host":
      return message(500, `Get "${api}/": dial tcp: lookup ${server} on 127.0.0.53:53: no such host`);
    case "down":
      return message(500, `Get "${api}/": dial tcp 192.0.2.1:443: connect: connection refused`);
    case "unavailable":
      return message(500, "received unexpected HTTP status: 503 Service Unavailable");
    case "rate-limited":
      return message(500, `toomanyrequests: ${registry?.limitText ?? "You have reached your pull rate limit"}`);
    case "denied":
      return sent === undefined
        ? message(500, `Head "${api}/${path}/manifests/${digest ?? tag}": no basic auth credentials`)
        : message(500, "unauthorized: authentication required");
    case "not-found":
      return message(404, `manifest for ${shown} not found: manifest unknown: manifest unknown`);
  }
}

// As in Docker, a header that is not padded base64url of JSON with a user name silently counts as
// anonymous.
function credentialsOf(header: string | undefined): SentCredentials | undefined {
  if (header === undefined || header.length % 4 !== 0 || !/^[A-Za-z0-9_-]+=*$/.test(header)) return undefined;
  const bytes = Uint8Array.from(atob(header.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
  const value = JSON.parse(new TextDecoder().decode(bytes)) as { username?: string; password?: string };
  return value.username === undefined ? undefined : { username: value.username, password: value.password ?? "" };
}
