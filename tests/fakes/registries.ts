// The registries that a fake runtime can reach: what they serve and how they fail. How a runtime
// reports it is the runtime's own.
import type { FakeImage, FakeReference } from "./image_store.ts";

/**
 * How a registry behaves.
 *
 * - `up`: serves its images; `slow`: the same, with `stepMs` between two steps of progress;
 * - `down`: refuses connections; `unavailable`: answers 503; `rate-limited`: answers 429;
 * - `denied`: refuses every client;
 * - `silent`: accepts the connection and never answers, so the runtime does not answer either;
 * - `stalled`: begins to serve, then makes no further progress, forever;
 * - `torn`: the connection breaks in the middle of the runtime's answer;
 * - `cut`: the runtime's answer ends before it says how the pull ended;
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

/** A registry that the runtime can reach; every field may change while the runtime runs. */
export interface FakeRegistry {
  /** `path:tag` -> image. A digest is found under any tag of its path. */
  images: Record<string, FakeImage>;
  state: RegistryState;
  /** If set, only these credentials are admitted. */
  credentials?: { readonly username: string; readonly password: string };
  /** Text of a rate-limited answer, after `toomanyrequests: `. */
  limitText?: string;
}

/** Credentials as they reach a registry. */
export interface SentCredentials {
  readonly username: string;
  readonly password: string;
}

/** What a registry says of one image; `unknown-host` if there is no such registry. */
export type RegistryAnswer =
  | { readonly result: "image"; readonly image: FakeImage }
  | { readonly result: "unknown-host" | "down" | "unavailable" | "rate-limited" | "denied" | "not-found" };

const REFUSING: ReadonlySet<RegistryState> = new Set(["down", "unavailable", "rate-limited", "denied"]);

/** Asks a registry for an image. */
export function consult(
  registry: FakeRegistry | undefined,
  { path, tag, digest }: FakeReference,
  sent: SentCredentials | undefined,
): RegistryAnswer {
  if (registry === undefined) return { result: "unknown-host" };
  const { state, credentials, images } = registry;
  if (isRefusing(state)) return { result: state };
  const isAdmitted = credentials === undefined ||
    sent?.username === credentials.username && sent?.password === credentials.password;
  if (!isAdmitted) return { result: "denied" };
  const image = digest === undefined
    ? images[`${path}:${tag}`]
    : Object.entries(images).find(([key, served]) => key.startsWith(`${path}:`) && served.digest === digest)?.[1];
  return image === undefined ? { result: "not-found" } : { result: "image", image };
}

function isRefusing(state: RegistryState): state is "down" | "unavailable" | "rate-limited" | "denied" {
  return REFUSING.has(state);
}
