// Cases of what a mirror, or what answers in its place, says by HTTP.

import { type Case, classicStore, headersAlone, type Kind, mirrorCase } from "./case.ts";
import { type Answer, demandingToken, page, plain, refusing } from "./mirror.ts";

const CHALLENGE = { headers: { "WWW-Authenticate": 'Basic realm="mirror"' } };
const PULL = { detail: [{ Type: "repository", Class: "", Name: "team/app", Action: "pull" }] };

/** A mirror that answers this to everything. */
function everything(name: string, kind: Kind, answer: Answer, except: Case["except"] = {}): Case {
  return mirrorCase(name, kind, { answers: { all: answer } }, { except });
}

/** A mirror that answers this to a request for the manifest. */
function manifest(name: string, kind: Kind, answer: Answer, except: Case["except"] = {}): Case {
  return mirrorCase(name, kind, { answers: { manifest: answer } }, { except });
}

function layer(name: string, kind: Kind, answer: Answer, except: Case["except"] = {}): Case {
  return mirrorCase(name, kind, { answers: { layer: answer } }, { except });
}

// The stores of containerd keep what they fetch by digest, so no two cases may answer the same with 200.

const UNAUTHORIZED = "authentication required";

const DENIALS: readonly Case[] = [
  everything("401 without a challenge", "denied", refusing(401, "UNAUTHORIZED", UNAUTHORIZED)),
  everything("401 with a challenge", "denied", refusing(401, "UNAUTHORIZED", UNAUTHORIZED, CHALLENGE)),
  manifest(
    "401 as the mirror's upstream refuses it",
    "denied",
    refusing(401, "UNAUTHORIZED", "unauthorized to access repository: team/app, action: pull"),
  ),
  manifest("403 DENIED", "denied", refusing(403, "DENIED", "requested access to the resource is denied")),
  manifest(
    "403 DENIED with a detail",
    "denied",
    refusing(403, "DENIED", "requested access to the resource is denied", PULL),
  ),
  everything("403 by a web filter", "denied", page(403, "Access to this site is blocked")),
  manifest("403 without a body", "denied", plain(403)),
  manifest(
    "403 by a policy",
    "denied",
    refusing(403, "FORBIDDEN", "Package team/app:1 download was blocked by JFrog Packages Curation service"),
  ),
  manifest(
    "403 by a quota",
    "denied",
    refusing(403, "DENIED", "adding 25.0 MiB of storage resource, which exceeds the configured upper limit"),
  ),
  layer("403 for a layer", "denied", refusing(403, "DENIED", "access is denied")),
  layer("403 for a layer in HTML", "denied", page(403, "Access to this site is blocked")),
];

const MISSING: readonly Case[] = [
  manifest("404 MANIFEST_UNKNOWN", "not-found", refusing(404, "MANIFEST_UNKNOWN", "manifest unknown")),
  manifest(
    "404 MANIFEST_UNKNOWN with a detail",
    "not-found",
    refusing(404, "MANIFEST_UNKNOWN", "manifest unknown", { detail: { Tag: "1" } }),
  ),
  manifest("404 NAME_UNKNOWN", "not-found", refusing(404, "NAME_UNKNOWN", "repository name not known to registry")),
  manifest(
    "404 NAME_UNKNOWN with a detail",
    "not-found",
    refusing(404, "NAME_UNKNOWN", "repository name not known to registry", { detail: { name: "team/app" } }),
  ),
  manifest("404 NOT_FOUND", "not-found", refusing(404, "NOT_FOUND", "not found")),
  manifest("404 NOT_FOUND of Harbor", "not-found", refusing(404, "NOT_FOUND", "artifact team/app:1 not found")),
];

const ELSEWHERE: readonly Case[] = [
  manifest("404 in plain text", "not-a-registry", plain(404, "404 page not found\n"), headersAlone("not-found")),
  manifest("404 in HTML", "not-a-registry", page(404, "404 Not Found"), headersAlone("not-found")),
  manifest("404 without a body", "registry-error", plain(404), headersAlone("not-found")),
  manifest(
    "404 in other JSON",
    "not-a-registry",
    () => Response.json({ message: "no Route matched with those values" }, { status: 404 }),
    headersAlone("not-found"),
  ),
  everything("404 in HTML to everything", "not-a-registry", page(404, "404 Not Found"), headersAlone("not-found")),
  everything(
    "404 in plain text to everything",
    "not-a-registry",
    plain(404, "404 page not found\n"),
    headersAlone("not-found"),
  ),
  everything("a web page to everything", "not-a-registry", page(200, "Sign in to the network")),
  manifest("a web page for the manifest", "not-a-registry", page(200, "Welcome")),
  layer(
    "a web page for a layer",
    "registry-error",
    page(200, "Sign in to the network"),
    classicStore("incomplete-image"),
  ),
  everything(
    "a redirect to a login page",
    "not-a-registry",
    ({ url }) =>
      new URL(url).pathname === "/login"
        ? page(200, "Sign in")()
        : new Response(null, { status: 302, headers: { Location: `${new URL(url).origin}/login` } }),
  ),
  everything(
    "a redirect in a circle",
    "registry-down",
    ({ url }) => new Response(null, { status: 302, headers: { Location: url } }),
  ),
  manifest("200 in JSON that is not a manifest", "unsupported-image", () => Response.json({ status: "fine" })),
  everything("200 in JSON to everything", "unsupported-image", () => Response.json({ status: "ok" })),
  everything("200 without a body to everything", "not-a-registry", plain(200), headersAlone("unsupported-image")),
];

const TOO_MANY: readonly Case[] = [
  manifest(
    "429 with Retry-After",
    "rate-limited",
    refusing(429, "TOOMANYREQUESTS", "too many requests", { headers: { "Retry-After": "30" } }),
  ),
  manifest(
    "429 of a limit",
    "rate-limited",
    refusing(429, "TOOMANYREQUESTS", "You have reached your pull rate limit", { detail: {} }),
  ),
  everything("429 in HTML", "rate-limited", page(429, "Too Many Requests")),
  manifest("429 without a body", "rate-limited", plain(429)),
  layer("429 for a layer", "rate-limited", plain(429)),
];

const UNKNOWN = "unknown error";

const BROKEN: readonly Case[] = [
  everything("500 in JSON", "registry-error", refusing(500, "UNKNOWN", UNKNOWN)),
  everything("500 in HTML", "registry-error", page(500, "Internal Server Error")),
  everything("500 without a body", "registry-error", plain(500)),
  everything("502 in HTML", "registry-error", page(502, "502 Bad Gateway")),
  manifest("502 for the manifest alone", "registry-error", plain(502)),
  everything("503 in JSON", "registry-error", refusing(503, "UNAVAILABLE", "service unavailable")),
  everything("504 in HTML", "registry-error", page(504, "504 Gateway Time-out")),
  layer("500 for a layer", "registry-error", refusing(500, "UNKNOWN", UNKNOWN)),
  layer("502 for a layer in HTML", "registry-error", page(502, "502 Bad Gateway")),
  layer("503 for a layer without a body", "registry-error", plain(503)),
];

/** The answer's own status is the one that counts. */
const QUOTING: readonly Case[] = [
  manifest("502 that quotes a 404", "registry-error", plain(502, "upstream said: 404 not found\n")),
  manifest(
    "500 that quotes a denial",
    "registry-error",
    refusing(500, "UNKNOWN", "denied: requested access to the resource is denied", { detail: {} }),
  ),
  layer(
    "500 for a layer that quotes a denial",
    "registry-error",
    refusing(500, "UNKNOWN", "unknown error: unauthorized: authentication required", { detail: {} }),
  ),
  layer("502 for a layer that quotes a 404", "registry-error", plain(502, "upstream said: 404 not found\n")),
  manifest(
    "403 that quotes a 429",
    "denied",
    refusing(403, "DENIED", "blocked after status 429 too many requests of the upstream"),
  ),
  manifest("403 that quotes a 429 in HTML", "denied", page(403, "Blocked: HTTP 429 too many requests")),
  layer("403 for a layer that quotes a 502", "denied", plain(403, "the upstream said: 502 Bad Gateway\n")),
  manifest("400 in JSON", "registry-error", refusing(400, "UNSUPPORTED", "the operation is unsupported")),
  manifest("400 in HTML", "not-a-registry", page(400, "Bad Request"), headersAlone("registry-error")),
  manifest("405 without a body", "registry-error", plain(405)),
  manifest("418 in plain text", "registry-error", plain(418, "I am a teapot\n")),
  manifest("451 in plain text", "registry-error", plain(451, "Unavailable For Legal Reasons\n")),
];

function token(name: string, kind: Kind, answer: Answer): Case {
  return mirrorCase(`a token endpoint that ${name}`, kind, { answers: demandingToken(answer) });
}

const TOKENS: readonly Case[] = [
  token("answers 404", "registry-error", plain(404, "404 page not found\n")),
  token("answers 404 in HTML", "registry-error", page(404, "404 Not Found")),
  token("answers 404 NOT_FOUND", "registry-error", refusing(404, "NOT_FOUND", "not found")),
  token("answers 401", "denied", refusing(401, "UNAUTHORIZED", "incorrect username or password")),
  token("answers 403", "denied", refusing(403, "DENIED", "denied")),
  token("answers 429", "rate-limited", plain(429)),
  token("answers 500", "registry-error", refusing(500, "UNKNOWN", UNKNOWN)),
  token("answers 503 in HTML", "registry-error", page(503, "Service Unavailable")),
  token("answers a web page", "not-a-registry", page(200, "Sign in")),
  token("gives a token that is not taken", "denied", () => Response.json({ token: "another" })),
  everything(
    "a token endpoint that is down",
    "registry-down",
    refusing(401, "UNAUTHORIZED", UNAUTHORIZED, {
      headers: { "WWW-Authenticate": 'Bearer realm="http://127.0.0.1:1/token",service="mirror"' },
    }),
  ),
];

/** Cases of answers. */
export const ANSWER_CASES: readonly Case[] = [
  ...DENIALS,
  ...MISSING,
  ...ELSEWHERE,
  ...TOO_MANY,
  ...BROKEN,
  ...QUOTING,
  ...TOKENS,
];
