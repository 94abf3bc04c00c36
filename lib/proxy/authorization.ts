// How a mirror's credentials become the header Authorization, and for how long a token holds
// (distribution, docs/spec/auth/token.md and oauth.md).

import type { RegistryAuth } from "../images/registry.ts";
import { isFields } from "../support/json.ts";
import { setRecent } from "../support/recent.ts";
import { scrub } from "../support/scrub.ts";
import { type Challenge, tokenUrl } from "./challenge.ts";

/** A token without a lifetime holds this long, in seconds (token.md, "expires_in"). */
const DEFAULT_LIFETIME_SECONDS = 60;

/** A token is renewed this long before it expires, so that a request under way does not lose it. */
const MARGIN_SECONDS = 10;

/** The most headers kept; the oldest goes first. */
const MOST_KEPT = 1000;

/** What asks a token server: a URL in, the parsed answer out. Throws what the connection says. */
export type AskForToken = (request: {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** A form to post; undefined for a GET. */
  readonly form?: string;
}) => Promise<unknown>;

interface Kept {
  readonly header: string;
  readonly auth: string;
  /** Milliseconds, by Clock.now. */
  readonly until: number;
}

/**
 * Returns a text without these credentials, in any form in which a mirror has seen them, and
 * without the token or credentials of the header Authorization that was `sent`.
 */
export function withoutSecrets(text: string, auth: RegistryAuth | undefined, sent = ""): string {
  return scrub(text, [...secretsOf(auth), sent.replace(/^\S+ /, "")]);
}

function secretsOf(auth: RegistryAuth | undefined): string[] {
  if (auth === undefined) return [];
  return "identitytoken" in auth ? [auth.identitytoken] : [credentialsOf(auth), auth.password];
}

/** The headers that mirrors have accepted, by mirror and repository. */
export class Authorizations {
  readonly #now: () => number;
  readonly #kept = new Map<string, Kept>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Returns the header that was last accepted for a repository with these credentials, if it still holds. */
  current(mirror: string, repository: string, auth: RegistryAuth | undefined): string | undefined {
    const kept = this.#kept.get(`${mirror}/${repository}`);
    const holds = kept !== undefined && kept.until > this.#now() && kept.auth === JSON.stringify(auth);
    return holds ? kept.header : undefined;
  }

  /**
   * Answers a challenge, and keeps the header. Returns undefined if these credentials cannot answer
   * it. Throws what `ask` throws.
   */
  async answer(
    challenge: Challenge,
    { mirror, repository, auth }: {
      readonly mirror: string;
      readonly repository: string;
      readonly auth: RegistryAuth | undefined;
    },
    ask: AskForToken,
  ): Promise<string | undefined> {
    const made = challenge.scheme === "basic" ? basicOf(auth) : await bearerOf(challenge, auth, ask);
    if (made === undefined) return undefined;
    const until = this.#now() + 1000 * (made.seconds - MARGIN_SECONDS);
    const kept = { header: made.header, auth: JSON.stringify(auth), until };
    setRecent(this.#kept, `${mirror}/${repository}`, kept, MOST_KEPT);
    return made.header;
  }

  /** Forgets what a mirror no longer accepts. */
  forget(mirror: string, repository: string): void {
    this.#kept.delete(`${mirror}/${repository}`);
  }
}

interface Made {
  readonly header: string;
  readonly seconds: number;
}

function basicOf(auth: RegistryAuth | undefined): Made | undefined {
  return auth !== undefined && "username" in auth ? { header: basicHeader(auth), seconds: Infinity } : undefined;
}

function basicHeader(auth: NameAndPassword): string {
  return `Basic ${credentialsOf(auth)}`;
}

type NameAndPassword = Extract<RegistryAuth, { username: string }>;

/** Base64 of UTF-8 `username:password` (RFC 7617). */
function credentialsOf({ username, password }: NameAndPassword): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(`${username}:${password}`)));
}

async function bearerOf(
  challenge: Extract<Challenge, { scheme: "bearer" }>,
  auth: RegistryAuth | undefined,
  ask: AskForToken,
): Promise<Made | undefined> {
  const answer = auth !== undefined && "identitytoken" in auth
    ? await ask({ url: challenge.realm, headers: {}, form: refreshForm(challenge, auth.identitytoken) })
    : await ask({
      url: tokenUrl(challenge, auth?.username),
      headers: auth === undefined ? {} : { authorization: basicHeader(auth) },
    });
  if (!isFields(answer)) return undefined;
  // A registry may use either name (token.md).
  const token = answer.token ?? answer.access_token;
  if (typeof token !== "string" || token === "") return undefined;
  const { expires_in: lifetime } = answer;
  const isLifetime = typeof lifetime === "number" && lifetime > 0;
  return { header: `Bearer ${token}`, seconds: isLifetime ? lifetime : DEFAULT_LIFETIME_SECONDS };
}

function refreshForm({ service, scope }: Extract<Challenge, { scheme: "bearer" }>, token: string): string {
  const form = new URLSearchParams({ grant_type: "refresh_token", refresh_token: token, client_id: "gilly" });
  if (service !== undefined) form.set("service", service);
  if (scope !== undefined) form.set("scope", scope);
  return form.toString();
}
