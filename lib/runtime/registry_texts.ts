// What registries, and what Go programs say of them, as far as a failure of a pull can be read from
// it. Docker Engines and containerd report the same failure with different statuses, so the text
// decides first. Pure.

import type { RuntimeErrorKind } from "./errors.ts";

/** The classification of a failure. */
export interface FailureVerdict {
  readonly kind: RuntimeErrorKind;
  /** Seconds the registry asked us to wait. */
  readonly retryAfterSeconds: number | undefined;
}

/** Characters of a message to match: it may be long, and some patterns take quadratic time. */
const LONGEST_MESSAGE = 2000;

// The first match wins. A registry's status appears as "HTTP 429", "status: 503", or "status from
// HEAD request to …: 403", depending on the Engine's version and image store.
const TEXTS: readonly (readonly [RuntimeErrorKind, RegExp])[] = [
  ["rate-limited", /toomanyrequests|too many requests|rate limit|\bHTTP 429\b|\bstatus\b.*?\b429\b/i],
  ["failed", /no space left on device|disk quota exceeded|read-only file system|input\/output error/i],
  // The Engine's containerd or another local part: registries are not dialed over Unix sockets.
  ["failed", /dial unix/i],
  // The mirror has the image's manifest, so the image is not missing there; it is incomplete.
  ["failed", /unknown blob|could not fetch content descriptor .*not found|content at .* not found/i],
  ["failed", /failed to (?:unpack image|extract layer)/i],
  ["rejected", /invalid reference format|invalid tag format|is a reserved name|invalid repository name/i],
  ["not-found", /manifest unknown|manifest for .*not found|name unknown|no matching manifest|no such image/i],
  ["registry-down", /dial tcp|connection refused|connection reset|broken pipe|network is unreachable/i],
  ["registry-down", /no route to host|no such host|server misbehaving|name resolution|proxyconnect|socks connect/i],
  [
    "registry-down",
    /i\/o timeout|timeout awaiting|TLS handshake|x509:|tls:|Client\.Timeout|context deadline exceeded/i,
  ],
  [
    "registry-down",
    /server gave HTTP response to HTTPS client|malformed HTTP |\bEOF\b|stopped after \d+ redirects/,
  ],
  ["registry-down", /net\/http: request canceled|use of closed network connection|http2: |stream error|server closed/i],
  ["denied", /unauthorized|no basic auth credentials|(?<!permission )\bdenied\b|authentication required/i],
  [
    "denied",
    /authorization failed|insufficient_scope|incorrect username or password|\bHTTP 40[13]\b|\bstatus\b.*?\b40[13]\b/i,
  ],
  ["registry-down", /\bHTTP 5\d\d\b|\bstatus\b.*?\b5\d\d\b|service unavailable|bad gateway|gateway time-?out/i],
  ["not-found", /\bnot found\b|does not exist|\bHTTP 404\b|\bstatus\b.*?\b404\b/i],
];

/**
 * Judges a text by its words alone; the kind is undefined if they do not tell. `reference` is removed
 * from the text first, so that an image called `denied` does not match. `retryAfter` is a header of
 * that name.
 */
export function textVerdict(
  message: string,
  reference: string,
  retryAfter?: string,
): { readonly kind: RuntimeErrorKind | undefined; readonly retryAfterSeconds: number | undefined } {
  const text = withoutNames(message.slice(0, LONGEST_MESSAGE), reference);
  return {
    kind: TEXTS.find(([, pattern]) => pattern.test(text))?.[0],
    retryAfterSeconds: retryAfterSeconds(retryAfter) ?? retryAfterSeconds(retryAfterText(text)),
  };
}

/** Returns a runtime's text on one line, without control characters, cut to 1000 characters. */
export function plainText(text: string): string {
  // deno-lint-ignore no-control-regex
  const line = text.replace(/[\s\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, " ").trim();
  return line.length > 1000 ? `${line.slice(0, 1000)}…` : line;
}

/**
 * Returns the seconds of a Retry-After value: whole seconds, or a duration as Go prints it
 * (`826.926µs`, `1m30s`). Returns undefined if it is neither.
 */
export function retryAfterSeconds(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const text = value.trim();
  if (/^\d{1,9}$/.test(text)) return Number(text);
  if (!/^(?:\d+(?:\.\d+)?(?:h|ms|m|s|µs|μs|us|ns))+$/.test(text)) return undefined;
  let seconds = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s|µs|μs|us|ns)/g)) {
    seconds += Number(amount) * (SECONDS[unit ?? ""] ?? 0);
  }
  return seconds;
}

const SECONDS: Record<string, number> = { h: 3600, m: 60, s: 1, ms: 1e-3, us: 1e-6, "µs": 1e-6, "μs": 1e-6, ns: 1e-9 };

function retryAfterText(text: string): string | undefined {
  const value = /retry[- ]after:?\s+([0-9.]+)\s*(seconds?|[a-zµμ0-9.]*)/i.exec(text);
  if (value === null) return undefined;
  const unit = value[2] ?? "";
  return unit.startsWith("second") ? `${value[1]}s` : `${value[1]}${unit}`.replace(/\.$/, "");
}

// Go quotes the requested URL, which contains the image's path. It also quotes the registry's
// answer, which is not a URL. containerd names the tag alone: `[manifests TAG]`.
function withoutNames(message: string, reference: string): string {
  const name = reference.replace(/@.*$/, "").replace(/:[^:/]*$/, "");
  const path = name.slice(name.indexOf("/") + 1);
  let text = message.replaceAll(/https?:\/\/[^\s"\\]+|\[manifests [^\]]*\]/g, "…");
  for (const known of [reference, name]) text = text.replaceAll(known, "…");
  if (path.includes("/")) text = text.replaceAll(path, "…");
  return text;
}
