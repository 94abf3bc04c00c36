// Tests lib/proxy/protocol.ts: what a mirror's refusal means.

import { assertEquals } from "@std/assert";
import { type Refusal, refusalIn } from "../../../lib/proxy/protocol.ts";

const PAGE = "<!DOCTYPE html>\n<html><title>Sign in</title></html>";
const HTML = "text/html; charset=utf-8";

function error(code: string, message = "said"): string {
  return JSON.stringify({ errors: [{ code, message }] });
}

const REFUSALS: readonly (readonly [what: string, answer: Partial<Refusal>, kind: string, reason: string])[] = [
  ["a manifest", { body: error("MANIFEST_UNKNOWN") }, "not-found", "MANIFEST_UNKNOWN: said"],
  ["a repository", { body: error("NAME_UNKNOWN") }, "not-found", "NAME_UNKNOWN: said"],
  ["Harbor's word", { body: error("NOT_FOUND") }, "not-found", "NOT_FOUND: said"],
  ["a blob", { body: error("BLOB_UNKNOWN") }, "not-found", "BLOB_UNKNOWN: said"],
  ["lower case", { body: error("manifest_unknown") }, "not-found", "manifest_unknown: said"],
  ["the second error", { body: '{"errors":[{"code":"X"},{"code":"NAME_UNKNOWN"}]}' }, "not-found", "X"],
  ["HEAD", { body: undefined }, "not-found", ""],
  ["HEAD, as plain text", { body: undefined, type: "text/plain" }, "not-found", ""],
  ["HEAD, as a page", { body: undefined, type: HTML }, "not-a-registry", "a web page"],
  ["a page by its type", { body: "Not here", type: HTML }, "not-a-registry", "a web page"],
  ["a page by its body", { body: `\ufeff\n ${PAGE}` }, "not-a-registry", "a web page"],
  ["another JSON", { body: '{"message":"no route"}' }, "not-a-registry", String.raw`"{\"message\":\"no route\"}"`],
  ["no JSON", { body: "404 page not found\n" }, "not-a-registry", '"404 page not found"'],
  ["no word", { body: "" }, "registry-error", "without saying what is missing"],
  ["no code", { body: '{"errors":[{"status":404,"message":"Not Found"}]}' }, "registry-error", "Not Found"],
  [
    "an index that a client did not accept",
    { body: error("MANIFEST_UNKNOWN", "OCI index found, but accept header does not support OCI indexes") },
    "unsupported-image",
    "MANIFEST_UNKNOWN: OCI index found, but accept header does not support OCI indexes",
  ],
  ["credentials", { status: 401, body: error("UNAUTHORIZED") }, "denied", "UNAUTHORIZED: said"],
  ["a proxy's 401", { status: 401, asksForCredentials: true, type: HTML, body: PAGE }, "denied", ""],
  ["a page's 401", { status: 401, type: HTML, body: PAGE }, "not-a-registry", "a web page"],
  ["a policy", { status: 403, body: error("DENIED", "curation") }, "denied", "DENIED: curation"],
  ["a web filter", { status: 403, type: HTML, body: PAGE }, "not-a-registry", "a web page"],
  ["a proxy", { status: 407, type: HTML, body: PAGE }, "proxy-refused", ""],
  ["a limit", { status: 429, type: HTML, body: PAGE }, "rate-limited", ""],
  ["a broken registry", { status: 500, body: error("UNKNOWN") }, "registry-error", "UNKNOWN: said"],
  ["a reverse proxy", { status: 502, type: HTML, body: PAGE }, "registry-error", ""],
  ["HEAD of a reverse proxy", { status: 503, type: HTML, body: undefined }, "registry-error", ""],
  ["a portal", { status: 511, type: HTML, body: PAGE }, "not-a-registry", ""],
  ["a redirect to nowhere", { status: 302, body: "" }, "registry-error", ""],
  ["a range", { status: 416, body: "" }, "failed", ""],
  ["a method", { status: 405, type: HTML, body: PAGE }, "not-a-registry", "a web page"],
];

for (const [what, answer, kind, reason] of REFUSALS) {
  const status = answer.status ?? 404;
  Deno.test(`${status} for ${what} is ${kind}`, () => {
    assertEquals(refusalIn({ status, type: "", asksForCredentials: false, body: "", ...answer }), { kind, reason });
  });
}
