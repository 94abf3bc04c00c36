// What a runtime's text says of a failed pull: who speaks, and which kind of failure it is. Docker
// Engines and containerd report the same failure with different statuses, so the text decides. Pure.

import type { RuntimeErrorKind } from "./errors.ts";

/** The classification of a failure. */
export interface FailureVerdict {
  readonly kind: RuntimeErrorKind;
  /** Seconds the registry asked us to wait. */
  readonly retryAfterSeconds: number | undefined;
}

/** Characters of a message to match: it may be long, and some patterns take quadratic time. */
const LONGEST_MESSAGE = 2000;

/**
 * Who says that something failed: the runtime, the HTTP proxy that it uses, the registry (or what
 * answers in its place), or the network between them.
 */
type Speaker = "runtime" | "proxy" | "registry" | "network";

/** What is no manifest, configuration or layer of an image, in the words of each runtime. */
const NO_IMAGE: readonly RegExp[] = [
  /media ?type|schema ?(?:version )?1\b|encountered remote|does not support OCI|invalid rootfs/i,
  // A manifest that is neither of the two current kinds is taken for the oldest, which has signatures.
  /missing signature key|no signatures/,
  /layers from manifest|diffIDs don't match|mismatched image rootfs|unmarshal image config/,
  /error unmarshalling content|^invalid character|(?:^|desc \S+: |"[^"]*": )unexpected end of JSON input/,
];

/** Content that does not match its digest or size, or is not there although its manifest is. */
const INCOMPLETE: readonly RegExp[] = [
  /unknown blob|blob unknown|content at .* not found|could not fetch content descriptor .*not found/i,
  /failed commit on ref "(?:layer|config)-|(?:layer|config) verification failed/,
];

/**
 * A manifest with another digest, or an answer that ends early, which may be a broken connection or a
 * damaged blob of this one image.
 */
const WRONG_CONTENT: readonly RegExp[] = [
  /failed commit on ref "(?:manifest|index)-|expected HTTP 206/,
  /short read:|failed to read expected number of bytes|(?<!": )\bunexpected EOF$/,
];

/**
 * Words that only one of them says, or that a runtime says only of it. A program puts its own words
 * before those that it passes on, so of several speakers the first in the text is the one that
 * knows: a layer that "failed to register: unexpected EOF" broke in the runtime, although a broken
 * connection is an EOF, too.
 */
const SPEAKERS: readonly (readonly [Speaker, RegExp])[] = [
  // moby and containerd write these once the digest of a blob is verified (moby, layer/layer_store.go;
  // containerd, core/unpack/unpacker.go).
  ["runtime", /failed to (?:register layer|extract layer|unpack image)|layer does not exist|wrong diff id/i],
  ["runtime", /authorization denied by plugin|\bplugin\b.{0,40}\bfailed with error|no space left on device/i],
  // An Engine of its containerd, and containerd of its snapshots.
  ["runtime", /failed to (?:send write|prepare extraction snapshot)/],
  ["runtime", /disk quota exceeded|read-only file system|input\/output error/i],
  // Registries are not dialed over Unix sockets, and they have no files of this host.
  ["runtime", /dial unix|\b(?:open|mkdir|write|rename|lchown|symlink|remove|stat|lstat) \/[^\s:]+:/],
  ["runtime", /invalid reference format|invalid tag format|is a reserved name|invalid repository name/i],
  // net/http hands on the words of a proxy's status without its number.
  ["proxy", /"…": (?:Proxy Authentication Required|Forbidden|Unauthorized|Not Found|Method Not Allowed)$/],
  ["proxy", /"…": (?:Bad Request|Bad Gateway|Service Unavailable|Gateway Time-?out|Internal Server Error)$/],
  ["registry", /\bHTTP \d{3} response body|\bstatus\b[^:]{0,100}: \d{3}\b/i],
  // The Engine gives the name unknown to an error whose code it does not know.
  ["registry", /^(?:(?:Get|Head) "…": )?unknown:(?! failed )|error from registry|^unsupported\b/i],
  ["registry", /toomanyrequests|too many requests|rate limit|(?<!permission )\bdenied\b|unauthorized/i],
  ["registry", /no basic auth credentials|access denied|authentication required|authorization failed/i],
  ["registry", /insufficient_scope|incorrect username|(?:manifest|name) unknown|no such image/i],
  ["registry", /no match(?:ing manifest| for platform)|cannot be used on this platform/i],
  ["registry", /unable to decode token response/],
  ...WRONG_CONTENT.map((words) => ["registry", words] as const),
  ...INCOMPLETE.map((words) => ["registry", words] as const),
  ...NO_IMAGE.map((words) => ["registry", words] as const),
  ["network", /dial tcp|connection re(?:fused|set)|broken pipe|network is unreachable|no route to host/i],
  ["network", /no such host|server misbehaving|name resolution|proxyconnect|socks connect/i],
  ["network", /i\/o timeout|timeout awaiting|TLS handshake|x509:|tls:|Client\.Timeout|context deadline exceeded/i],
  ["network", /HTTP(?:S)? (?:response|request) to (?:an )?HTTPS? (?:client|server)|malformed HTTP |\bEOF\b/i],
  ["network", /stopped after \d+ redirects|net\/http: request canceled|use of closed network connection/],
  ["network", /http2: |stream error|server closed|service unavailable|bad gateway|gateway time-?out/i],
];

type Words = readonly (readonly [RuntimeErrorKind, RegExp])[];

/** The kinds of what each of them says; the first match wins. */
const WORDS: Readonly<Record<Speaker, Words>> = {
  runtime: [
    ["rejected", /invalid reference format|invalid tag format|is a reserved name|invalid repository name/i],
    ["disk-full", /no space left|disk quota exceeded/i],
    ["failed", /read-only file system|input\/output error/i],
    // The runtime's own store lost it, as by a garbage collection at that moment.
    ["failed", /layer does not exist|content digest .*not found|symlink \.\.\/\S+ \S+: no such file/i],
    ["not-a-registry", /media type text\/html/i],
    ...NO_IMAGE.map((words) => ["unsupported-image", words] as const),
    ["cannot-unpack", /failed to (?:register layer|extract layer|unpack image)|wrong diff id/i],
    ["failed", /^/],
  ],
  proxy: [
    // The proxy does not reach the mirror.
    ["registry-down", /(?:Bad Gateway|Service Unavailable|Gateway Time-?out|Internal Server Error)$/],
    ["proxy-refused", /^/],
  ],
  registry: [
    ["not-a-registry", /text\/html|'<' looking for beginning of value|^unknown: (?:<|404 page not found)/],
    ["not-a-registry", /error unmarshalling content: unexpected end|unable to decode token response/],
    ["registry-down", /HTTP request to an HTTPS server/],
    // A token server has no images, and what it does not find says nothing of one.
    ["registry-error", /^(?:Get|Head) "…": unknown:|error from registry: (?:not found|unknown unknown)/],
    ["unsupported-image", /content descriptor \S+ \((?!application\/vnd\.(?:oci|docker)\.)/],
    ...INCOMPLETE.map((words) => ["incomplete-image", words] as const),
    ...NO_IMAGE.map((words) => ["unsupported-image", words] as const),
    ["wrong-platform", /no match(?:ing manifest| for platform)|cannot be used on this platform/i],
    // An error's code comes before its message, which may quote the refusal of an upstream.
    ["denied", /(?:^|: )denied(?:: |$)/],
    ["rate-limited", /toomanyrequests|too many requests|rate limit/i],
    ["not-found", /(?:manifest|name) unknown|no such image/i],
    ["denied", /denied|unauthorized|no basic auth credentials|authentication required|authorization failed/i],
    ["denied", /insufficient_scope|incorrect username|\bblocked\b|forbidden|\bquota\b|not allowed/i],
    ["not-found", /\bnot found\b/i],
    ...WRONG_CONTENT.map((words) => ["registry-error", words] as const),
    ["registry-error", /^un(?:known|supported)\b/i],
  ],
  network: [
    // The mirror gave the manifest; what does not answer may be the storage of this one image's layers.
    ["registry-error", /failed to copy: |^error pulling image configuration: /],
    ["registry-down", /^/],
  ],
};

/** A status of the registry that the runtime states; what it quotes after that is the registry's. */
const STATED_STATUS = /\bHTTP (\d{3}) response body|\bstatus\b[^:]{0,100}: (\d{3})\b/i;

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
    kind: lacksDigest(message, reference) ? "not-found" : kindOf(text),
    retryAfterSeconds: retryAfterSeconds(retryAfter) ?? retryAfterSeconds(retryAfterText(text)),
  };
}

/** Whether the manifest that the mirror lacks is that of the reference, and not one that an index names. */
function lacksDigest(message: string, reference: string): boolean {
  const digest = /@(.*)$/.exec(reference)?.[1];
  return digest !== undefined && message.includes(`/manifests/${digest} not found`);
}

function kindOf(text: string): RuntimeErrorKind | undefined {
  const speaker = speakerOf(text);
  if (speaker === undefined) return /\bnot found\b/i.test(text) ? "not-found" : undefined;
  const stated = speaker === "registry" ? STATED_STATUS.exec(text) : null;
  if (stated !== null) return kindOfStatus(Number(stated.slice(1).find((status) => status !== undefined)), text);
  return WORDS[speaker].find(([, words]) => words.test(text))?.[0];
}

function speakerOf(text: string): Speaker | undefined {
  let first: { readonly speaker: Speaker; readonly at: number } | undefined;
  for (const [speaker, words] of SPEAKERS) {
    const at = text.search(words);
    if (at >= 0 && (first === undefined || at < first.at)) first = { speaker, at };
  }
  return first?.speaker;
}

/** The kind of a status of the registry that the runtime states, whatever the body says that it quotes. */
function kindOfStatus(status: number, text: string): RuntimeErrorKind {
  if (status === 407) return "proxy-refused";
  if (status === 429) return "rate-limited";
  if (status === 401 || status === 403) return "denied";
  if (/HTTP request to an HTTPS server/.test(text)) return "registry-down";
  if (status >= 500 || isAboutToken(text)) return "registry-error";
  // A registry says in JSON what it does not have.
  if (/response body:.*'<' looking for beginning/.test(text)) return "not-a-registry";
  if (status !== 404) return "registry-error";
  if (/response body:.*: ""$/.test(text)) return "registry-error";
  return /response body/.test(text) ? "not-a-registry" : "not-found";
}

/** Whether a token server answered, before the registry was asked for the image. */
function isAboutToken(text: string): boolean {
  return /^(?:Get|Head) "…": |fetch (?:anonymous|oauth) token/.test(text);
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
  let text = message.replaceAll(/https?:\/\/[^\s"\\]*[^\s"\\:]|\[manifests [^\]]*\]/g, "…");
  for (const known of [reference, name]) text = text.replaceAll(known, "…");
  if (path.includes("/")) text = text.replaceAll(path, "…");
  return text;
}
