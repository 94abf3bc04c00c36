// Challenges of a registry, and the request for a token that answers one (RFC 9110, 11.6.1, and the
// distribution project's docs/spec/auth/token.md). Pure: header values in, data out.

/** What a registry requires before it serves a path. */
export type Challenge =
  | { readonly scheme: "basic" }
  | {
    readonly scheme: "bearer";
    /** Where tokens come from. */
    readonly realm: string;
    readonly service: string | undefined;
    readonly scope: string | undefined;
  };

/** Returns the first challenge of a WWW-Authenticate header that can be answered, or undefined. */
export function challengeIn(header: string): Challenge | undefined {
  for (const { scheme, parameters } of challengesIn(header)) {
    if (scheme === "basic") return { scheme };
    if (scheme !== "bearer") continue;
    const { realm, service, scope } = parameters;
    if (realm !== undefined && isUsableRealm(realm)) return { scheme, realm, service, scope };
  }
  return undefined;
}

/** Returns the URL that grants a token for a challenge; `account` is the user's name, if there is one. */
export function tokenUrl(
  { realm, service, scope }: Extract<Challenge, { scheme: "bearer" }>,
  account: string | undefined,
): string {
  const query = Object.entries({ service, scope, account }).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`]
  ).join("&");
  return query === "" ? realm : `${realm}${realm.includes("?") ? "&" : "?"}${query}`;
}

interface Parsed {
  readonly scheme: string;
  readonly parameters: Readonly<Record<string, string>>;
}

// challenge = scheme 1*SP #( token "=" ( token / quoted-string ) ), separated by commas, as are the
// challenges themselves; so a word that is followed by no "=" begins the next challenge.
function challengesIn(header: string): Parsed[] {
  const challenges: { scheme: string; parameters: Record<string, string> }[] = [];
  const word = /[\s,]*([\w!#$%&'*+.^`|~-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*)))?/gy;
  for (const [, name = "", quoted, plain] of header.matchAll(word)) {
    const value = quoted?.replace(/\\(.)/g, "$1") ?? plain;
    if (value === undefined) challenges.push({ scheme: name.toLowerCase(), parameters: {} });
    else challenges.at(-1)?.parameters && (challenges.at(-1)!.parameters[name.toLowerCase()] = value);
  }
  return challenges;
}

function isUsableRealm(realm: string): boolean {
  return /^https?:\/\/[^\s/?#@]+(?:[/?][^\s#]*)?$/i.test(realm);
}
