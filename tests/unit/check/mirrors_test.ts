// Tests lib/check/mirrors.ts: how a mirror is probed, and the finding for its answer.

import { assertEquals, assertStringIncludes } from "@std/assert";
import type { Failed, Verdict } from "../../../lib/check/finding.ts";
import {
  checkMirror,
  checkMirrorFailure,
  checkPaths,
  type Credentials,
  type Probed,
  probesOf,
} from "../../../lib/check/mirrors.ts";
import { containerdAdvice } from "../../../lib/runtime/containerd/advice.ts";
import { dockerAdvice } from "../../../lib/runtime/docker/advice.ts";

const DOCKER = dockerAdvice("/run/docker.sock");

const FILE = "/etc/gilly/auth.json";
const PROBE = { mirror: "m.example", reference: "m.example/gilly-check/no-such-image:none" };

interface Case {
  readonly kind: string;
  readonly text: string;
  readonly verdict: Verdict;
  readonly message: string;
  readonly remedy: string;
  readonly credentials?: Credentials;
}

const FAILURES: readonly Case[] = [
  {
    kind: "denied",
    text: "denied: requested access to the resource is denied",
    verdict: "warn",
    message: "denies every name",
    remedy: "authFile",
  },
  {
    kind: "denied",
    text: "unauthorized: authentication required",
    verdict: "fail",
    message: "requires credentials: ",
    remedy: "authFile",
  },
  {
    kind: "denied",
    text: "unauthorized: incorrect username or password",
    verdict: "fail",
    message: `the credentials of ${FILE} are refused`,
    remedy: `check the entry for m.example in ${FILE}`,
    credentials: { file: FILE },
  },
  {
    kind: "denied",
    text: "GET m.example/a manifests/b: answered 403, CURATION: blocked by policy no-critical",
    verdict: "fail",
    message: "refuses: ",
    remedy: "a policy, a quota or a filter",
  },
  { kind: "rate-limited", text: "toomanyrequests", verdict: "warn", message: "limits the rate", remedy: "wait" },
  { kind: "stalled", text: "no answer for 30 s, given up", verdict: "fail", message: "30 s", remedy: "firewall" },
  {
    kind: "not-a-registry",
    text: "HEAD m.example/a manifests/b: answered 404, a web page",
    verdict: "fail",
    message: "what answers is not a registry: ",
    remedy: "curl -v https://m.example/v2/",
  },
  {
    kind: "registry-error",
    text: "received unexpected HTTP status: 502 Bad Gateway",
    verdict: "fail",
    message: "reachable, but it answers with an error: ",
    remedy: "its own log",
  },
  {
    kind: "proxy-refused",
    text: "Proxy Authentication Required",
    verdict: "fail",
    message: "the proxy on the way to it refuses",
    remedy: "NO_PROXY=m.example",
  },
  {
    kind: "unsupported-image",
    text: "OCI index found",
    verdict: "warn",
    message: "an image of any name",
    remedy: "seldom a registry",
  },
  {
    kind: "failed",
    text: "something new",
    verdict: "fail",
    message: "something new",
    remedy: "the cause is not known to Gilly: systemctl status docker",
  },
  {
    kind: "registry-down",
    text: "x509: certificate signed by unknown authority",
    verdict: "fail",
    message: "x509",
    remedy: "/etc/docker/certs.d/m.example/ca.crt",
  },
  {
    kind: "registry-down",
    text: "x509: certificate is valid for a.example, not m.example",
    verdict: "fail",
    message: "valid for a.example",
    remedy: "replace m.example in the config",
  },
];

for (const { kind, text, verdict, message, remedy, credentials } of FAILURES) {
  Deno.test(`a mirror that is ${kind} with "${text.slice(0, 60)}" is a ${verdict}`, () => {
    const context = { credentials, advice: DOCKER, isOwn: false };
    const finding = checkMirrorFailure("m.example", { kind, text }, context);
    assertEquals(finding.verdict, verdict);
    assertStringIncludes(finding.message, message);
    assertStringIncludes(finding.message, text);
    assertStringIncludes(finding.remedy ?? "", remedy);
  });
}

Deno.test("credentials are accepted only where a mirror refuses without them", () => {
  const says = (without: Probed | Failed | undefined) => {
    const { verdict, message } = checkMirror(PROBE, "absent", { file: FILE }, without);
    return `${verdict} ${message}`;
  };
  assertEquals(
    says({ kind: "denied", text: "unauthorized" }),
    `ok reachable, and accepts the credentials of ${FILE}`,
  );
  assertEquals(
    says("absent"),
    `ok reachable, and answers without credentials; those of ${FILE} were sent, and not required`,
  );
  assertEquals(
    says({ kind: "rate-limited", text: "slow down" }),
    `ok reachable with the credentials of ${FILE}; whether it requires them is unknown: slow down`,
  );
  assertEquals(
    checkMirror(PROBE, "absent", undefined, undefined).message,
    "reachable, and answers without credentials",
  );
});

Deno.test("a mirror that has what nobody pushed is a warning", () => {
  const { verdict, message } = checkMirror(PROBE, "present", undefined, undefined);
  assertEquals(verdict, "warn");
  assertStringIncludes(message, "it claims to have m.example/gilly-check/no-such-image:none");
});

Deno.test("a path that begins as the registry's API does is a warning, with what to write", () => {
  const mirrors = ["m.example/v2/team", "m.example/v2", "m.example/v1/{registry}", "m.example/team/v2", "v2.example"];
  const found = checkPaths([{ origin: "gcr.io", mirrors }, { origin: "quay.io", mirrors: ["m.example/v2/team"] }]);
  assertEquals(found.map(({ name, verdict, remedy }) => [verdict, name, remedy]), [
    ["warn", "mirror m.example/v2/team", "write m.example/team into the config"],
    ["warn", "mirror m.example/v2", "write m.example into the config"],
    ["warn", "mirror m.example/v1/{registry}", "write m.example/{registry} into the config"],
  ]);
  assertStringIncludes(found[0]!.message, "the /v2 of a registry's API does not belong in the path");
});

Deno.test("every mirror is probed once, below the path of its first rule, for an image that does not exist", () => {
  const rules = [
    { origin: "gcr.io", mirrors: ["Mirror.example", "m2.example:5000/quay"] },
    { origin: "quay.io:443", mirrors: ["mirror.example/other", "h.example/{registry}"] },
    { origin: "*.pkg.dev", mirrors: ["p.example/{registry}"] },
    { origin: "*", mirrors: ["s.example/{registry}"] },
  ];
  assertEquals(probesOf(rules), [
    { mirror: "mirror.example", reference: "mirror.example/gilly-check/no-such-image:none" },
    { mirror: "m2.example:5000", reference: "m2.example:5000/quay/gilly-check/no-such-image:none" },
    { mirror: "h.example", reference: "h.example/quay.io/gilly-check/no-such-image:none" },
    { mirror: "p.example", reference: "p.example/gilly-check.pkg.dev/gilly-check/no-such-image:none" },
    { mirror: "s.example", reference: "s.example/docker.io/gilly-check/no-such-image:none" },
  ]);
});

const BEYOND: readonly (readonly [text: string, because: string, remedy: string])[] = [
  [
    "tls: received corrupt message of type InvalidContentType",
    "it speaks plain HTTP",
    'server = "http://m.example" of /etc/containerd/certs.d/m.example/hosts.toml',
  ],
  ["received fatal alert: CertificateRequired", "it requires a client's certificate", "client = [["],
  ["invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))", "that of a CA", "CA:FALSE"],
  [
    "invalid peer certificate: Other(OtherError(UnsupportedCertVersion))",
    "a form that Gilly's TLS refuses",
    "version 3",
  ],
];

for (const [said, because, remedy] of BEYOND) {
  Deno.test(`where Gilly asks in the place of containerd, "${said}" is no verdict on the mirror`, () => {
    const advice = containerdAdvice("/run/containerd/containerd.sock");
    const failure = { kind: "registry-down", text: `HEAD m.example/a manifests/b: ${said}` };
    const own = checkMirrorFailure("m.example", failure, { credentials: undefined, advice, isOwn: true });
    assertEquals(own.verdict, "warn");
    assertStringIncludes(own.message, `not checked, because`);
    assertStringIncludes(own.message, because);
    assertStringIncludes(own.remedy!, remedy);
    const runtimes = checkMirrorFailure("m.example", failure, { credentials: undefined, advice, isOwn: false });
    assertEquals(runtimes.verdict, "fail");
  });
}
