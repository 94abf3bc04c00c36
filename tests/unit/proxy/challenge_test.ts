// Tests lib/proxy/challenge.ts with headers that registries send.

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { type Challenge, challengeIn, tokenUrl } from "../../../lib/proxy/challenge.ts";

const bearer = (realm: string, service?: string, scope?: string): Challenge => (
  { scheme: "bearer", realm, service, scope }
);

const CHALLENGES: readonly (readonly [name: string, header: string, challenge: Challenge | undefined])[] = [
  [
    "Docker Hub",
    'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/a:pull"',
    bearer("https://auth.docker.io/token", "registry.docker.io", "repository:library/a:pull"),
  ],
  [
    "a scope with a comma in it",
    'Bearer realm="https://h.example/t",service="s",scope="repository:a:pull,push"',
    bearer("https://h.example/t", "s", "repository:a:pull,push"),
  ],
  ["a realm alone", 'Bearer realm="https://h.example/t"', bearer("https://h.example/t")],
  ["other case and spaces", 'BEARER  Realm = "https://h.example/t" , Service=s', bearer("https://h.example/t", "s")],
  ["an escaped quote", 'Bearer realm="https://h.example/t",service="a\\"b"', bearer("https://h.example/t", 'a"b')],
  ["Basic", 'Basic realm="Registry Realm"', { scheme: "basic" }],
  ["Basic without a realm", "Basic", { scheme: "basic" }],
  ["two challenges, the first unknown", 'Negotiate, Basic realm="x"', { scheme: "basic" }],
  [
    "two challenges",
    'Bearer realm="https://h.example/t",service="s", Basic realm="x"',
    bearer("https://h.example/t", "s"),
  ],
  ["Bearer without a usable realm before Basic", 'Bearer realm="file:///etc/shadow", Basic', { scheme: "basic" }],
  ["Bearer without a realm", "Bearer service=s", undefined],
  ["an unknown scheme", "Negotiate", undefined],
  ["nothing", "", undefined],
];

for (const [name, header, challenge] of CHALLENGES) {
  Deno.test(`a challenge of ${name} is parsed`, () => assertEquals(challengeIn(header), challenge));
}

Deno.test("no header makes the parser throw", () => {
  fc.assert(fc.property(fc.string(), (text) => void challengeIn(`Bearer ${text}`)));
});

Deno.test("a token's URL keeps the realm's own parameters", () => {
  const challenge = { scheme: "bearer", realm: "https://h.example/t?x=1", service: "s s", scope: "repository:a:pull" };
  assertEquals(
    tokenUrl(challenge as Extract<Challenge, { scheme: "bearer" }>, "gilly"),
    "https://h.example/t?x=1&service=s%20s&scope=repository%3Aa%3Apull&account=gilly",
  );
});
