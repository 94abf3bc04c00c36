// The registries that the fake Docker Engine can reach: what they serve, how they fail, and the
// messages with which Engine 20.10 reports a failure.
import { type FakeImage, type FakeReference, familiarName } from "./image_store.ts";

/**
 * How a registry behaves.
 *
 * - `up`: serves its images; `slow`: the same, with `stepMs` between two lines of progress;
 * - `down`: refuses connections; `unavailable`: answers 503; `rate-limited`: answers 429;
 * - `denied`: refuses every client;
 * - `silent`: accepts the connection and never answers, so the Engine does not answer either;
 * - `stalled`: begins to serve, then repeats the same line of progress forever;
 * - `torn`: the connection breaks in the middle of the Engine's answer;
 * - `cut`: the Engine's answer ends without a final status;
 * - `error-after-progress`: the progress ends in an error, as with a truncated blob.
 */
export type RegistryState =
  | "up"
  | "slow"
  | "down"
  | "unavailable"
  | "rate-limited"
  | "denied"
  | "silent"
  | "stalled"
  | "torn"
  | "cut"
  | "error-after-progress";

/** A registry that the Engine can reach; every field may change while the Engine runs. */
export interface FakeRegistry {
  /** `path:tag` -> image. A digest is found under any tag of its path. */
  images: Record<string, FakeImage>;
  state: RegistryState;
  /** If set, only these credentials are admitted. */
  credentials?: { readonly username: string; readonly password: string };
  /** Text of a rate-limited answer, after `toomanyrequests: `. */
  limitText?: string;
}

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
  if (registry === undefined) {
    return message(500, `Get "${api}/": dial tcp: lookup ${server} on 127.0.0.53:53: no such host`);
  }
  const refusal = REFUSALS[registry.state];
  if (refusal !== undefined) return message(500, refusal(api, registry));
  const sent = credentialsOf(auth);
  const { credentials } = registry;
  const isAdmitted = credentials === undefined ||
    sent?.username === credentials.username && sent?.password === credentials.password;
  if (registry.state === "denied" || !isAdmitted) {
    return sent === undefined
      ? message(500, `Head "${api}/${path}/manifests/${digest ?? tag}": no basic auth credentials`)
      : message(500, "unauthorized: authentication required");
  }
  const image = digest === undefined
    ? registry.images[`${path}:${tag}`]
    : Object.entries(registry.images).find(([key, served]) => key.startsWith(`${path}:`) && served.digest === digest)
      ?.[1];
  const shown = familiarName(reference.name) + (digest === undefined ? `:${tag}` : `@${digest}`);
  return image ?? message(404, `manifest for ${shown} not found: manifest unknown: manifest unknown`);
}

const REFUSALS: { readonly [State in RegistryState]?: (api: string, registry: FakeRegistry) => string } = {
  "down": (api) => `Get "${api}/": dial tcp 192.0.2.1:443: connect: connection refused`,
  "unavailable": () => "received unexpected HTTP status: 503 Service Unavailable",
  "rate-limited": (_, registry) => `toomanyrequests: ${registry.limitText ?? "You have reached your pull rate limit"}`,
};

// As in Docker, a header that is not padded base64url of JSON with a user name silently counts as
// anonymous.
function credentialsOf(header: string | undefined): { username: string; password: string } | undefined {
  if (header === undefined || header.length % 4 !== 0 || !/^[A-Za-z0-9_-]+=*$/.test(header)) return undefined;
  const bytes = Uint8Array.from(atob(header.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
  const value = JSON.parse(new TextDecoder().decode(bytes)) as { username?: string; password?: string };
  return value.username === undefined ? undefined : { username: value.username, password: value.password ?? "" };
}
