// Tests lib/mirrors/auth_entries.ts: which entry is used for which image, what each gives, and that no
// text reveals a secret.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type AuthLookup, credentialsIn, pathsIn } from "../../../lib/mirrors/auth_entries.ts";
import { type AuthConfig, readAuthConfig } from "../../../lib/mirrors/auth_forms.ts";

const MIRROR = "mirror.example:5000";
const FILE = "/etc/gilly/auth.json";
const SECRET = "s3cr3t-Passw0rd";

function parsed(config: unknown, mirror = MIRROR): AuthConfig {
  const read = readAuthConfig(JSON.stringify(config), FILE, mirror);
  assert("auths" in read);
  return read;
}

function lookup(config: unknown, mirror = MIRROR, path = "team/app:1"): AuthLookup {
  return credentialsIn(parsed(config, mirror), mirror, `${mirror}/${path}`, FILE);
}

function base64(text: string): string {
  return new TextEncoder().encode(text).toBase64();
}

const GREETED = { username: "gilly", password: SECRET };
const OTHER = { username: "other", password: "0ther-Passw0rd" };
const AUTH_COMMAND = "printf '%s' 'USER:PASSWORD' | base64 -w0";
const SET = `set its auth to what this prints: ${AUTH_COMMAND}`;
const ADD = `add "${MIRROR}": {"auth": "…"} to auths in ${FILE}, where … is what this prints: ${AUTH_COMMAND}`;

/** An entry of `auths`, and the credentials that it gives. */
const ENTRIES: readonly (readonly [string, unknown, AuthLookup])[] = [
  ["auth", { auth: base64(`gilly:${SECRET}`) }, { auth: GREETED }],
  ["auth next to an email", { auth: base64(`gilly:${SECRET}`), email: "a@b.example" }, { auth: GREETED }],
  ["auth with space around it", { auth: ` ${base64(`gilly:${SECRET}`)}\n` }, { auth: GREETED }],
  ["auth padded with NULs", { auth: base64(`gilly:${SECRET}\0\0\0`) }, { auth: GREETED }],
  ["auth without its padding", { auth: base64(`gilly:${SECRET}`).replace(/=+$/, "") }, { auth: GREETED }],
  ["a password with colons", { auth: base64("gilly:a:b:c") }, { auth: { username: "gilly", password: "a:b:c" } }],
  ["an empty password", { auth: base64("gilly:") }, { auth: { username: "gilly", password: "" } }],
  ["a password with non-ASCII characters", { auth: base64("gilly:pässwörd✓") }, {
    auth: { username: "gilly", password: "pässwörd✓" },
  }],
  ["username and password", GREETED, { auth: GREETED }],
  ["auth next to another username and password, as in Docker", { ...OTHER, auth: base64(`gilly:${SECRET}`) }, {
    auth: GREETED,
  }],
  ["auth next to a username alone", { username: "other", auth: base64(`gilly:${SECRET}`) }, { auth: GREETED }],
  ["auth with NULs around the password", { auth: base64(`gilly:\0${SECRET}\0`) }, { auth: GREETED }],
  ["username and password next to an auth of white space", { ...GREETED, auth: " " }, { auth: GREETED }],
  ["an identity token next to a username and a password", { ...OTHER, identitytoken: SECRET }, {
    auth: { identitytoken: SECRET },
  }],
  ["an identity token next to a damaged auth", { auth: "%", identitytoken: SECRET }, {
    auth: { identitytoken: SECRET },
  }],
  ["auth next to a registry token", { auth: base64(`gilly:${SECRET}`), registrytoken: "t0ken" }, { auth: GREETED }],
  ["username and password next to an empty auth", { ...GREETED, auth: "" }, { auth: GREETED }],
  ["an identity token", { identitytoken: SECRET }, { auth: { identitytoken: SECRET } }],
  ["an identity token next to auth", { auth: base64("<token>:"), identitytoken: SECRET }, {
    auth: { identitytoken: SECRET },
  }],
  ["an empty identity token next to auth", { auth: base64(`gilly:${SECRET}`), identitytoken: "" }, { auth: GREETED }],
];

for (const [name, entry, expected] of ENTRIES) {
  Deno.test(`an entry may contain ${name}`, () => assertEquals(lookup({ auths: { [MIRROR]: entry } }), expected));
}

const NO_FIELDS = `the entry "${MIRROR}" of ${FILE} has no auth, username and password, or identitytoken`;
const AUTH_OF = `auth of the entry "${MIRROR}" in ${FILE}`;
const NO_COLON = `${AUTH_OF} is base64 of a text without a colon; expected user:password`;
const NO_USER = `${AUTH_OF} is base64 of a text without a user before the colon; expected user:password`;
const NO_BASE64 = `${AUTH_OF} is not base64; expected base64 of user:password`;

/** Entries without usable credentials; most contain the secret. */
const USELESS: readonly (readonly [string, unknown, string])[] = [
  ["nothing", {}, NO_FIELDS],
  ["an empty auth", { auth: "" }, NO_FIELDS],
  ["a password without a username", { password: SECRET }, NO_FIELDS],
  ["a username without a password", { username: SECRET }, NO_FIELDS],
  ["an auth without a colon", { auth: base64(SECRET) }, NO_COLON],
  ["an auth that was encoded twice", { auth: base64(base64(`gilly:${SECRET}`)) }, NO_COLON],
  ["an auth without a username", { auth: base64(`:${SECRET}`) }, NO_USER],
  ["an auth that is not base64", { auth: `%%${SECRET}%%` }, NO_BASE64],
  ["an auth that is not encoded", { auth: `gilly:${SECRET}` }, NO_BASE64],
  ["an auth that is a number", { auth: 5, password: SECRET }, NO_FIELDS],
  ["a registry token alone", { registrytoken: SECRET }, `${NO_FIELDS}; a registrytoken is not supported`],
  ["a text", SECRET, NO_FIELDS],
  ["a list", [SECRET], NO_FIELDS],
  ["null", null, NO_FIELDS],
];

for (const [name, entry, problem] of USELESS) {
  Deno.test(`an entry with ${name} is a problem that does not reveal the secret`, () => {
    const found = lookup({ auths: { [MIRROR]: entry } });
    assertEquals(found, { problem, remedy: SET });
    assert(!JSON.stringify(found).includes(SECRET) && !JSON.stringify(found).includes(base64(SECRET)), problem);
  });
}

const PASSWORD_OF = `whose password in the entry "${MIRROR}"`;
const LINE_BREAK = `${PASSWORD_OF} ends in a line break, as echo adds one`;
const NO_COLON_THERE =
  `whose auth in the entry "${MIRROR}" is base64 of a text without a colon; expected user:password`;

/** Entries that are probably not what was meant; they are used as in Docker. */
const FLAWED: readonly (readonly [string, unknown, string, string])[] = [
  ["a password that ends in a line break", { auth: base64(`gilly:${SECRET}\n`) }, `${SECRET}\n`, LINE_BREAK],
  ["a line break of Windows", { auth: base64(`gilly:${SECRET}\r\n`) }, `${SECRET}\r\n`, LINE_BREAK],
  ["a password field that ends so", { username: "gilly", password: `${SECRET}\n` }, `${SECRET}\n`, LINE_BREAK],
  ["a password in Latin-1", { auth: btoa("gilly:\xe4") }, "\ufffd", `${PASSWORD_OF} is not UTF-8`],
  ["an auth without a colon next to a password", { ...GREETED, auth: base64(SECRET) }, SECRET, NO_COLON_THERE],
];

for (const [name, entry, password, flaw] of FLAWED) {
  Deno.test(`an entry with ${name} is used, and named in case it is refused`, () => {
    const found = lookup({ auths: { [MIRROR]: entry } });
    assertEquals(found, { auth: { username: "gilly", password }, flaw, remedy: SET });
    assert(!flaw.includes(SECRET));
  });
}

/** A server as written in the file, a mirror, and whether they are the same. */
const SERVERS: readonly (readonly [string, string, boolean])[] = [
  ["mirror.example", "mirror.example", true],
  ["https://mirror.example", "mirror.example", true],
  ["http://mirror.example", "mirror.example", true],
  ["https://mirror.example/v1/", "mirror.example", true],
  ["https://mirror.example/v2/", "mirror.example", true],
  ["https://mirror.example/v1", "mirror.example", true],
  ["https://mirror.example/", "mirror.example", true],
  ["mirror.example/", "mirror.example", true],
  ["mirror.example/v1/", "mirror.example", true],
  ["mirror.example/v2/", "mirror.example", true],
  ["index.docker.io", "docker.io", true],
  ["index.docker.io/v1/", "docker.io", true],
  ["HTTPS://Mirror.Example", "mirror.example", true],
  ["mirror.example", "MIRROR.example", true],
  ["mirror.example:5000", "mirror.example:5000", true],
  ["https://index.docker.io/v1/", "docker.io", true],
  ["https://index.docker.io/v1/", "index.docker.io", true],
  ["docker.io", "docker.io", true],
  ["mirror.example", "mirror.example:5000", false],
  ["mirror.example:5000", "mirror.example", false],
  ["a.mirror.example", "mirror.example", false],
  ["mirror.example.org", "mirror.example", false],
  ["https://other.example/mirror.example", "mirror.example", false],
  ["https://mirror.example:443", "mirror.example", false],
  ["*.example", "mirror.example", false],
  ["ftp://mirror.example", "mirror.example", false],
  ["__proto__", "mirror.example", false],
];

for (const [server, mirror, same] of SERVERS) {
  Deno.test(`credentials of "${server}" are ${same ? "" : "not "}those of ${mirror}`, () => {
    const auths = JSON.parse(`{${JSON.stringify(server)}: ${JSON.stringify(GREETED)}}`);
    const found = lookup({ auths }, mirror);
    if (same) assertEquals(found, { auth: GREETED });
    else {
      assert("problem" in found);
      assertEquals(found.problem, `${FILE} has no credentials for ${mirror}, only for "${server}"`);
    }
  });
}

/** Keys for the mirror, an image's path there, and the key that is used; undefined if none may be. */
const PATHS: readonly (readonly [readonly string[], string, string | undefined])[] = [
  [[`${MIRROR}/other`, `${MIRROR}/proxy`], "proxy/app:1", `${MIRROR}/proxy`],
  [[`${MIRROR}/other`, `${MIRROR}/proxy`], "third/app:1", undefined],
  [[`${MIRROR}/proxy`, `${MIRROR}/proxy/team`], "proxy/team/app:1", `${MIRROR}/proxy/team`],
  [[`${MIRROR}/proxy/team`, `${MIRROR}/proxy`], "proxy/team-b/app:1", `${MIRROR}/proxy`],
  [[`${MIRROR}/proxy/team`, MIRROR], "proxy/team:1", `${MIRROR}/proxy/team`],
  [[`${MIRROR}/proxy/team`, MIRROR], "proxy/app:1", MIRROR],
  [[`${MIRROR}/proxy`, `https://${MIRROR}/v1/`], "app:1", `https://${MIRROR}/v1/`],
  [[`${MIRROR}/proxy`], "proxy-b/app:1", undefined],
  [[`${MIRROR}/proxy`], "Proxy/app:1", undefined],
  [[`${MIRROR}/proxy`], `proxy/app@sha256:${"a".repeat(64)}`, `${MIRROR}/proxy`],
  [[`${MIRROR}/team/app:1`], "team/app:1", undefined],
  [[`${MIRROR}/proxy/`], "proxy/app:1", `${MIRROR}/proxy/`],
  [[`https://${MIRROR}/proxy`], "proxy/app:1", `https://${MIRROR}/proxy`],
  [[`https://${MIRROR}/proxy`], "other/app:1", undefined],
  [[`https://${MIRROR}/v2/proxy`], "proxy/app:1", `https://${MIRROR}/v2/proxy`],
  [[`https://${MIRROR}/v2/proxy`], "v2/proxy/app:1", undefined],
  [[`${MIRROR}/v1`], "v1/app:1", `${MIRROR}/v1`],
  [[`${MIRROR}/v1`], "other/app:1", undefined],
  [["mirror.example/team"], "team/app:1", undefined],
  [[`https://${MIRROR}/v1/`, MIRROR], "app:1", MIRROR],
  [[MIRROR, `https://${MIRROR}/v1/`], "app:1", MIRROR],
  [[`https://${MIRROR}/team`, `${MIRROR}/team`], "team/app:1", `${MIRROR}/team`],
];

for (const [keys, path, used] of PATHS) {
  Deno.test(`of ${keys.join(" and ")}, ${used ?? "none"} is used for ${path}`, () => {
    const auths = Object.fromEntries(keys.map((key) => [key, { username: key, password: SECRET }]));
    const found = lookup({ auths }, MIRROR, path);
    const expected = used === undefined ? undefined : { username: used, password: SECRET };
    assertEquals("auth" in found ? found.auth : undefined, expected);
  });
}

Deno.test("an image outside the paths of a mirror's keys is no mistake in the file", () => {
  const auths = { [`${MIRROR}/b`]: OTHER, [`${MIRROR}/a/c`]: GREETED, "elsewhere.example": OTHER };
  assertEquals(lookup({ auths }), {
    uncovered: `${FILE} has credentials only for "${MIRROR}/a/c", "${MIRROR}/b", not for ${MIRROR}/team/app`,
    remedy: ADD,
  });
});

Deno.test("a damaged entry is not replaced by that of a shorter path", () => {
  const auths = { [`${MIRROR}/team`]: { auth: base64("x") }, [MIRROR]: GREETED };
  const found = lookup({ auths });
  assert("problem" in found);
  assertStringIncludes(found.problem, `auth of the entry "${MIRROR}/team" in ${FILE} is base64 of a text without`);
});

Deno.test("of several spellings of Docker Hub, Docker's own is used", () => {
  const auths = { "docker.io": OTHER, "https://index.docker.io/v1/": GREETED, "index.docker.io": OTHER };
  assertEquals(lookup({ auths }, "docker.io", "library/nginx:1"), { auth: GREETED });
  const refresh = { "https://index.docker.io/v1/refresh-token": OTHER, ...auths };
  assertEquals(lookup({ auths: refresh }, "docker.io", "library/nginx:1"), { auth: GREETED });
});

/** Keys, and the paths that they name below the mirror. */
const PATHS_IN: readonly (readonly [readonly string[], readonly string[] | undefined])[] = [
  [[], undefined],
  [["elsewhere.example"], undefined],
  [[MIRROR, `${MIRROR}/a`], undefined],
  [[`https://${MIRROR}/v1/`], undefined],
  [[`${MIRROR}/a`, `https://${MIRROR}/a/`, `${MIRROR}/b/c`, "elsewhere.example"], ["b/c", "a"]],
];

for (const [keys, paths] of PATHS_IN) {
  Deno.test(`the paths of ${keys.join(" and ") || "no keys"} are ${paths?.join(" and ") ?? "not bounded"}`, () => {
    assertEquals(pathsIn(parsed({ auths: Object.fromEntries(keys.map((key) => [key, GREETED])) }), MIRROR), paths);
  });
}

Deno.test("a mirror named like a property of every object has no credentials because of it", () => {
  const found = lookup({ auths: {} }, "constructor");
  assert("problem" in found);
  assertEquals(found.problem, `${FILE} has no credentials for constructor`);
});

Deno.test("the user and the password in the URL of a key are not shown", () => {
  const found = lookup({ auths: { [`https://gilly:${SECRET}@elsewhere.example`]: {}, [`x:${SECRET}@b.example`]: {} } });
  assertEquals(found, {
    problem: `${FILE} has no credentials for ${MIRROR}, only for "https://elsewhere.example", "b.example"`,
    remedy: ADD,
  });
});

Deno.test("what is missing from a .dockercfg is to be added where its entries are", () => {
  const found = lookup({ "elsewhere.example": { auth: base64("a:b") } });
  assertEquals(found, {
    problem: `${FILE} has no credentials for ${MIRROR}, only for "elsewhere.example"`,
    remedy: ADD.replace("auths in ", ""),
  });
});

/** Files that refer to a credential helper. */
const HELPERS: readonly (readonly [string, unknown, string])[] = [
  ["credHelpers", { credHelpers: { [MIRROR]: "ecr-login" } }, "ecr-login"],
  ["credHelpers under a URL", { credHelpers: { [`https://${MIRROR}`]: "gcr" } }, "gcr"],
  ["credsStore", { credsStore: "secretservice" }, "secretservice"],
  ["credsStore with the empty entry that docker login leaves", {
    auths: { [MIRROR]: {} },
    credsStore: "pass",
  }, "pass"],
  ["both, of which credHelpers wins", { credHelpers: { [MIRROR]: "gcr" }, credsStore: "pass" }, "gcr"],
];

for (const [name, config, helper] of HELPERS) {
  Deno.test(`a helper is refused by name: ${name}`, () => {
    assertEquals(lookup(config), {
      problem: `${FILE} uses the credential helper "${helper}" for ${MIRROR}, but Gilly runs no programs`,
      remedy: ADD,
    });
  });
}

Deno.test("a helper does not hide credentials that are in the file", () => {
  assertEquals(lookup({ auths: { [MIRROR]: GREETED }, credsStore: "pass" }), { auth: GREETED });
});

Deno.test("a helper for another server, or an empty one, is ignored", () => {
  for (const config of [{ credHelpers: { "other.example": "gcr" } }, { credsStore: "" }, { credsStore: 5 }]) {
    assertEquals(lookup(config), { problem: `${FILE} has no credentials for ${MIRROR}`, remedy: ADD });
  }
});
