// Image references: the grammar and normalization of distribution/reference, with its reasons for
// refusal. Pure: text in, data out. Independent of rules, registries and the local store.

import { quote } from "../support/text.ts";

/**
 * A normalized reference: Docker Hub's `docker.io` and `library/` are filled in, and the tag is
 * `latest` if the text had neither a tag nor a digest (distribution/reference, normalize.go,
 * ParseNormalizedNamed and TagNameOnly).
 */
export interface Reference {
  /**
   * Host of the registry, with its port if it has one, in its original case. Empty in one case that
   * the library allows: a first part with both a dot and an underscore (`foo_bar.com/x`) is neither
   * a valid domain nor a Docker Hub path, so the complete name is a path.
   */
  readonly domain: string;
  /** Path of the repository in its registry, 1 to 255 characters, no slash at either end. */
  readonly path: string;
  readonly tag: string | undefined;
  /** `algorithm:hex`, of sha256, sha384 or sha512. */
  readonly digest: string | undefined;
}

/**
 * Why a text is not a valid reference. `uppercase`, `too-long`, `bare-hex`, `bad-format`,
 * `unsupported-digest` and `digest-length` are errors of the library and of go-digest. Where they
 * report only "invalid reference format", `empty`, `tag-format` and `digest-format` name the part
 * that is wrong.
 */
export type InvalidReferenceReason =
  | "empty"
  | "uppercase"
  | "too-long"
  | "bare-hex"
  | "bad-format"
  | "tag-format"
  | "digest-format"
  | "unsupported-digest"
  | "digest-length";

/**
 * Thrown for a text that is not an image reference; the message quotes it, shortened, and says in
 * one sentence what is wrong.
 */
export class InvalidReferenceError extends Error {
  override name = "InvalidReferenceError";
  readonly reason: InvalidReferenceReason;
  /** The complete text, not shortened. */
  readonly input: string;
  /** What is wrong, without the text. */
  readonly sentence: string;

  constructor(reason: InvalidReferenceReason, input: string, sentence: string) {
    super(`invalid image reference ${quote(input, LONGEST_QUOTE)}: ${sentence}`);
    this.reason = reason;
    this.input = input;
    this.sentence = sentence;
  }
}

// The library limits the path but not the domain. A host that resolves has at most 253 characters,
// so this limit refuses nothing that could be pulled, and keeps the expressions below cheap.
const LONGEST_INPUT = 4096;
const LONGEST_PATH = 255;
const LONGEST_QUOTE = 120;

const SCHEME = /^[A-Za-z][A-Za-z0-9+.-]*:\/\//;
const IDENTIFIER = /^[a-f0-9]{64}$/;
const DOMAIN =
  /^(?:[a-zA-Z0-9]+(?:-+[a-zA-Z0-9]+)*(?:\.[a-zA-Z0-9]+(?:-+[a-zA-Z0-9]+)*)*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?$/;
const PATH_ELEMENT = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const DIGEST = /^([a-z0-9]+(?:[.+_-][a-z0-9]+)*):([a-zA-Z0-9=_-]+)$/;
const HEX = /^[a-f0-9]+$/;
const HEX_LENGTHS: ReadonlyMap<string, number> = new Map([["sha256", 64], ["sha384", 96], ["sha512", 128]]);

/**
 * Parses and normalizes a reference. Throws InvalidReferenceError, and nothing else, if the text is
 * not valid. Takes time linear in the length of the text.
 *
 * The rules are those of distribution/reference since 0.6 (reference.go, regexp.go, normalize.go).
 * A kubelet of Kubernetes 1.20 contains an older version that refuses three things allowed here: a
 * first part with an upper-case letter as a domain (`Foo/bar`), IPv6 hosts (`[::1]:5000/x`), and a
 * name of more than 255 characters whose path alone is not longer than that.
 */
export function parseReference(input: string): Reference {
  const refuse = (reason: InvalidReferenceReason, sentence: string) =>
    new InvalidReferenceError(reason, input, sentence);
  if (input === "") throw refuse("empty", "the name is empty");
  if (input.length > LONGEST_INPUT) {
    throw refuse(
      "too-long",
      `no reference is longer than ${LONGEST_INPUT} characters, but this one has ${input.length}`,
    );
  }
  // The next two are common paste errors; the library calls both "invalid reference format".
  const scheme = SCHEME.exec(input)?.[0];
  if (scheme !== undefined) throw refuse("bad-format", `leave out ${scheme}`);
  if (/\s/.test(input)) throw refuse("bad-format", "a reference must not contain white space");
  if (IDENTIFIER.test(input)) {
    throw refuse("bare-hex", "64 hexadecimal characters alone are an image ID, not a repository name");
  }

  const { host, rest } = splitHost(input);
  const [nameAndTag, digest] = cut(rest, "@");
  const [remainder, tag] = cut(nameAndTag, ":");
  const { domain, path } = checkName(host, remainder, refuse);
  if (tag !== undefined && !TAG.test(tag)) {
    throw refuse(
      "tag-format",
      `a tag is 1 to 128 letters, digits, "_", "." or "-", and does not begin with "." or "-"`,
    );
  }
  if (path.length > LONGEST_PATH) {
    throw refuse("too-long", `repository name must not be more than ${LONGEST_PATH} characters`);
  }
  if (digest !== undefined) checkDigest(digest, refuse);
  return { domain, path, tag: tag ?? (digest === undefined ? "latest" : undefined), digest };
}

/** Like parseReference, but returns undefined if the text is not a valid reference. */
export function referenceOrUndefined(input: string): Reference | undefined {
  try {
    return parseReference(input);
  } catch (error) {
    if (error instanceof InvalidReferenceError) return undefined;
    throw error;
  }
}

/**
 * Returns the canonical text of a reference: `domain/path[:tag][@digest]`. Parsing it gives the
 * same reference again.
 */
export function formatReference(reference: Reference): string {
  return repositoryOf(reference) + suffixOf(reference);
}

/**
 * Returns the reference as Docker shows it: without `docker.io/`, and without `library/` if one
 * element follows (distribution/reference, normalize.go, familiarizeName). For display only:
 * `docker.io/localhost/x` becomes `localhost/x`, which would parse as another registry.
 */
export function familiarReference(reference: Reference): string {
  if (reference.domain !== "docker.io") return formatReference(reference);
  const official = /^library\/([^/]+)$/.exec(reference.path)?.[1];
  return (official ?? reference.path) + suffixOf(reference);
}

/** Returns the repository of a reference: `domain/path`. */
export function repositoryOf(reference: Reference): string {
  return reference.domain === "" ? reference.path : `${reference.domain}/${reference.path}`;
}

/**
 * Reports whether a text is an image ID, `sha256:` and 64 hexadecimal digits. As a reference it
 * would be the repository `sha256` with a long tag, but the kubelet and Docker look it up among the
 * local images, and no registry can serve it.
 */
export function isImageId(input: string): boolean {
  return input.startsWith("sha256:") && IDENTIFIER.test(input.slice("sha256:".length));
}

/**
 * Reports whether a text is a domain as used in references: a host name, an IPv4 address or an IPv6
 * address in brackets, and optionally a port (distribution/reference, regexp.go, DomainRegexp).
 */
export function isDomain(text: string): boolean {
  return text.length <= LONGEST_INPUT && DOMAIN.test(text);
}

type Refuse = (reason: InvalidReferenceReason, sentence: string) => InvalidReferenceError;

// splitDockerDomain of normalize.go: without a slash, the text is a name on Docker Hub, so `a.b:1`
// is an image.
function splitHost(input: string): { readonly host: string; readonly rest: string } {
  const [first, remainder] = cut(input, "/");
  if (remainder === undefined) return { host: "docker.io", rest: `library/${input}` };
  const isHost = first === "localhost" || /[.:]/.test(first) || first.toLowerCase() !== first;
  const host = !isHost || first === "index.docker.io" ? "docker.io" : first;
  const rest = isHost ? remainder : input;
  return { host, rest: host === "docker.io" && !rest.includes("/") ? `library/${rest}` : rest };
}

function checkName(
  host: string,
  remainder: string,
  refuse: Refuse,
): { readonly domain: string; readonly path: string } {
  const name = `${host}/${remainder}`;
  if (remainder.toLowerCase() !== remainder) throw refuse("uppercase", "repository name must be lowercase");
  if (DOMAIN.test(host) && isPath(remainder)) return { domain: host, path: remainder };
  if (isPath(name)) return { domain: "", path: name };
  if (isPath(name.toLowerCase())) throw refuse("uppercase", "repository name must be lowercase");
  throw refuse("bad-format", "invalid reference format, expected [host[:port]/]path[:tag][@digest]");
}

function isPath(text: string): boolean {
  return text.split("/").every((element) => PATH_ELEMENT.test(element));
}

// Stricter than the pattern of a reference: applies the checks of go-digest (digest.go,
// algorithm.go) for the algorithms that it knows.
function checkDigest(digest: string, refuse: Refuse): void {
  const [, algorithm = "", hex = ""] = DIGEST.exec(digest) ?? [];
  if (algorithm === "") throw refuse("digest-format", "a digest is an algorithm, a colon and hexadecimal digits");
  const length = HEX_LENGTHS.get(algorithm);
  if (length === undefined) {
    throw refuse("unsupported-digest", "unsupported digest algorithm, expected sha256, sha384 or sha512");
  }
  if (hex.length !== length) {
    throw refuse("digest-length", `a ${algorithm} digest has ${length} digits, but this one has ${hex.length}`);
  }
  if (!HEX.test(hex)) throw refuse("digest-format", "the digits of a digest are 0 to 9 and lower-case a to f");
}

function suffixOf({ tag, digest }: Reference): string {
  return (tag === undefined ? "" : `:${tag}`) + (digest === undefined ? "" : `@${digest}`);
}

function cut(text: string, separator: string): readonly [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + separator.length)];
}
