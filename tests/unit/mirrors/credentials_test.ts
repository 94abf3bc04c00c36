// Tests lib/mirrors/credentials.ts: the forms of Docker's config.json, and that no secret leaks.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { AuthFile, type AuthLookup, credentialsFor } from "../../../lib/mirrors/credentials.ts";
import { inTemporaryFolder } from "../../support/folder.ts";

const MIRROR = "mirror.example:5000";
const FILE = "/etc/gilly/auth.json";
const SECRET = "s3cr3t-Passw0rd";

function lookup(config: unknown, mirror = MIRROR): AuthLookup {
  return credentialsFor(mirror, JSON.stringify(config), FILE);
}

function base64(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

function problemOf(found: AuthLookup): string {
  assert("problem" in found, "credentials were found");
  return found.problem;
}

const GREETED = { username: "gilly", password: SECRET };

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

/** Entries without usable credentials; most contain the secret. */
const USELESS: readonly (readonly [string, unknown])[] = [
  ["nothing", {}],
  ["a password without a username", { password: SECRET }],
  ["a username without a password", { username: SECRET }],
  ["an auth without a colon", { auth: base64(SECRET) }],
  ["an auth without a username", { auth: base64(`:${SECRET}`) }],
  ["an auth that is not base64", { auth: `%%${SECRET}%%` }],
  ["an auth that is a number", { auth: 5, password: SECRET }],
  ["a text", SECRET],
  ["a list", [SECRET]],
  ["null", null],
];

for (const [name, entry] of USELESS) {
  Deno.test(`an entry with ${name} is a problem that does not reveal the secret`, () => {
    const problem = problemOf(lookup({ auths: { [MIRROR]: entry } }));
    assertStringIncludes(problem, `${FILE} has an entry for ${MIRROR} without`);
    assert(!problem.includes(SECRET) && !problem.includes(base64(SECRET)), problem);
  });
}

/** A server as written in the file, a mirror, and whether they are the same. */
const SERVERS: readonly (readonly [string, string, boolean])[] = [
  ["mirror.example", "mirror.example", true],
  ["https://mirror.example", "mirror.example", true],
  ["http://mirror.example", "mirror.example", true],
  ["https://mirror.example/v1/", "mirror.example", true],
  ["https://mirror.example/v2/", "mirror.example", true],
  ["mirror.example/team", "mirror.example", true],
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
  ["__proto__", "mirror.example", false],
];

for (const [server, mirror, same] of SERVERS) {
  Deno.test(`credentials of "${server}" are ${same ? "" : "not "}those of ${mirror}`, () => {
    const text = `{"auths": {${JSON.stringify(server)}: ${JSON.stringify(GREETED)}}}`;
    assertEquals(
      credentialsFor(mirror, text, FILE),
      same ? { auth: GREETED } : { problem: `${FILE} has no credentials for ${mirror}` },
    );
  });
}

Deno.test("a mirror named like a property of every object has no credentials because of it", () => {
  assertEquals(lookup({ auths: {} }, "constructor"), { problem: `${FILE} has no credentials for constructor` });
});

Deno.test("the exact name of a mirror wins over another spelling of it, in any order", () => {
  const other = { username: "other", password: "other" };
  const auths = { "https://mirror.example:5000/v1/": other, [MIRROR]: GREETED, "mirror.example:5000/team": other };
  assertEquals(lookup({ auths }), { auth: GREETED });
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
    });
  });
}

Deno.test("a helper does not hide credentials that are in the file", () => {
  assertEquals(lookup({ auths: { [MIRROR]: GREETED }, credsStore: "pass" }), { auth: GREETED });
});

Deno.test("a helper for another server, or an empty one, is ignored", () => {
  for (const config of [{ credHelpers: { "other.example": "gcr" } }, { credsStore: "" }, { credsStore: 5 }]) {
    assertEquals(lookup(config), { problem: `${FILE} has no credentials for ${MIRROR}` });
  }
});

/** Texts that are not a valid config.json; most contain the secret. */
const NOT_CONFIGS: readonly (readonly [string, string, string])[] = [
  ["an incomplete object", `{"auths": {"${MIRROR}": {"password": "${SECRET}"`, `${FILE} is not JSON`],
  ["YAML", `password: ${SECRET}`, `${FILE} is not JSON`],
  ["nothing", "", `${FILE} is not JSON`],
  ["a list", `["${SECRET}"]`, `${FILE} is not an object in the format of Docker's config.json`],
  ["a text", `"${SECRET}"`, `${FILE} is not an object in the format of Docker's config.json`],
  ["null", "null", `${FILE} is not an object in the format of Docker's config.json`],
  ["auths that is a list", `{"auths": ["${SECRET}"]}`, `${FILE} has no credentials for ${MIRROR}`],
];

for (const [name, text, problem] of NOT_CONFIGS) {
  Deno.test(`a file with ${name} is a problem that quotes nothing`, () => {
    assertEquals(credentialsFor(MIRROR, text, FILE), { problem });
  });
}

function withFile(test: (path: string) => Promise<void>): Promise<void> {
  return inTemporaryFolder((folder) => test(`${folder}/auth.json`));
}

function configWith(password: string): string {
  return JSON.stringify({ auths: { [MIRROR]: { username: "gilly", password } } });
}

Deno.test("a file is read again after it was written, and not before", async () => {
  await withFile(async (path) => {
    const file = new AuthFile(path, MIRROR);
    await Deno.writeTextFile(path, configWith("one"));
    const first = await file.read();
    assertEquals(first, { auth: { username: "gilly", password: "one" } });
    assert(await file.read() === first, "an unchanged file was read again");
    await Deno.writeTextFile(path, configWith("longer than before"));
    assertEquals(await file.read(), { auth: { username: "gilly", password: "longer than before" } });
  });
});

Deno.test("a file that was replaced by one of the same size and time is read again", async () => {
  await withFile(async (path) => {
    const file = new AuthFile(path, MIRROR);
    const time = new Date("2020-05-16T01:11:53Z");
    for (const password of ["one", "two"]) {
      await Deno.writeTextFile(`${path}.${password}`, configWith(password));
      await Deno.utime(`${path}.${password}`, time, time);
      await Deno.rename(`${path}.${password}`, path);
      assertEquals(await file.read(), { auth: { username: "gilly", password } });
    }
  });
});

Deno.test("a file that disappears and returns is read again", async () => {
  await withFile(async (path) => {
    const file = new AuthFile(path, MIRROR);
    assertStringIncludes(problemOf(await file.read()), `cannot read ${path}: `);
    await Deno.writeTextFile(path, configWith("one"));
    assertEquals(await file.read(), { auth: { username: "gilly", password: "one" } });
    await Deno.remove(path);
    assertStringIncludes(problemOf(await file.read()), `cannot read ${path}: No such file`);
    await Deno.writeTextFile(path, configWith("one"));
    assertEquals(await file.read(), { auth: { username: "gilly", password: "one" } });
  });
});

Deno.test("a file that becomes invalid is a problem, and its old credentials are not used", async () => {
  await withFile(async (path) => {
    const file = new AuthFile(path, MIRROR);
    await Deno.writeTextFile(path, configWith("one"));
    await file.read();
    await Deno.writeTextFile(path, configWith("one").slice(0, -1));
    assertEquals(await file.read(), { problem: `${path} is not JSON` });
  });
});

Deno.test("a directory in place of the file is a problem", async () => {
  await withFile(async (path) => {
    await Deno.mkdir(path);
    assertStringIncludes(problemOf(await new AuthFile(path, MIRROR).read()), `cannot read ${path}: `);
  });
});
