// Tests lib/mirrors/auth_forms.ts: what each file is called, and that every command that a text names
// works on the file as it is. The commands run in a shell, in a folder of their own.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { type AuthConfig, type AuthProblem, readAuthConfig, shellWord } from "../../../lib/mirrors/auth_forms.ts";
import { inTemporaryFolder } from "../../support/folder.ts";
import { notOnPath } from "../../support/programs.ts";
import { testIfPossible } from "../../support/requirements.ts";

const MIRROR = "mirror.example:5000";
const SECRET = "s3cr3t-Passw0rd";
const AUTH = btoa(`gilly:${SECRET}`);
const CONFIG = JSON.stringify({ auths: { [MIRROR]: { auth: AUTH } } });
const DOCKERCFG = JSON.stringify({ [`https://${MIRROR}/v1/`]: { auth: AUTH, email: "a@b.example" } });
/** What the commands that cannot know them have for the user and the password. */
const PLACEHOLDERS = { username: "USER", password: "PASSWORD" };
const GILLY = { username: "gilly", password: SECRET };

const NEEDS = notOnPath(["base64", "iconv", "awk", "sed", "grep", "jq"]);

interface FormCase {
  readonly name: string;
  readonly content: string | Uint8Array;
  /** What follows the file's path in the problem. */
  readonly problem: string;
  /** What the command makes of the file; what it had, unless stated. */
  readonly made?: { readonly username: string; readonly password: string };
}

function bytesOf(content: string | Uint8Array): Uint8Array {
  return typeof content === "string" ? new TextEncoder().encode(content) : content;
}

/** UTF-16 or UTF-32 as Windows writes it: little-endian. */
function wide(text: string, bytesPerCharacter: 2 | 4, isBig = false): Uint8Array {
  return Array.from(text, (character) => character.charCodeAt(0)).reduce((bytes, code, index) => {
    bytes[index * bytesPerCharacter + (isBig ? bytesPerCharacter - 1 : 0)] = code & 0xff;
    bytes[index * bytesPerCharacter + (isBig ? bytesPerCharacter - 2 : 1)] = code >> 8;
    return bytes;
  }, new Uint8Array(text.length * bytesPerCharacter));
}

const SECRET_IN = (key: string) => `is a Kubernetes Secret; expected what is in its ${key}`;
const IN_JSON = (data: Record<string, string>, name = "data") => ({
  apiVersion: "v1",
  [name]: data,
  kind: "Secret",
  metadata: {
    annotations: {
      "kubectl.kubernetes.io/last-applied-configuration": JSON.stringify({ kind: "Secret", data }),
    },
    managedFields: [{ fieldsV1: { "f:data": { "f:.dockerconfigjson": {} } } }],
  },
  type: "kubernetes.io/dockerconfigjson",
});
const HEAD = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: pull\ntype: kubernetes.io/dockerconfigjson\n";
const MULTI_LINE = btoa(CONFIG).match(/.{1,40}/g)!.map((line) => `    ${line}\n`).join("");

const CONVERTED: readonly FormCase[] = [
  { name: "UTF-16 with a mark", content: wide(`\ufeff${CONFIG}`, 2), problem: "is UTF-16 text; expected UTF-8" },
  {
    name: "big-endian UTF-16 with a mark",
    content: wide(`\ufeff${CONFIG}`, 2, true),
    problem: "is UTF-16 text; expected UTF-8",
  },
  { name: "UTF-16 without a mark", content: wide(CONFIG, 2), problem: "is UTF-16 text; expected UTF-8" },
  {
    name: "big-endian UTF-16 without a mark",
    content: wide(CONFIG, 2, true),
    problem: "is UTF-16 text; expected UTF-8",
  },
  { name: "UTF-32", content: wide(`\ufeff${CONFIG}`, 4), problem: "is UTF-32 text; expected UTF-8" },
  { name: "base64", content: `${btoa(CONFIG).match(/.{1,76}/g)!.join("\n")}\n`, problem: "is a config.json in base64" },
  {
    name: "a Secret in JSON",
    content: JSON.stringify(IN_JSON({ ".dockerconfigjson": btoa(CONFIG) }), null, 4),
    problem: SECRET_IN(".dockerconfigjson"),
  },
  {
    name: "a Secret in JSON on one line",
    content: JSON.stringify(IN_JSON({ ".dockerconfigjson": btoa(CONFIG) })),
    problem: SECRET_IN(".dockerconfigjson"),
  },
  {
    name: "a dockercfg Secret in JSON",
    content: JSON.stringify(IN_JSON({ ".dockercfg": btoa(DOCKERCFG) })),
    problem: SECRET_IN(".dockercfg"),
  },
  {
    name: "a list with one Secret",
    content: JSON.stringify({ kind: "List", items: [IN_JSON({ ".dockerconfigjson": btoa(CONFIG) })] }),
    problem: SECRET_IN(".dockerconfigjson"),
  },
  {
    name: "a Secret in JSON with stringData",
    content: JSON.stringify(IN_JSON({ ".dockerconfigjson": CONFIG }, "stringData")),
    problem: SECRET_IN(".dockerconfigjson"),
  },
  {
    name: "a Secret in YAML",
    content: `apiVersion: v1\ndata:\n  .dockerconfigjson: ${btoa(CONFIG)}\nkind: Secret\nmetadata:\n  name: pull\n`,
    problem: SECRET_IN(".dockerconfigjson"),
  },
  {
    name: "a Secret in YAML from Windows, quoted",
    content: `\ufeff${HEAD}data:\n  ".dockerconfigjson": '${btoa(CONFIG)}'\n`.replaceAll("\n", "\r\n"),
    problem: SECRET_IN(".dockerconfigjson"),
  },
  {
    name: "a dockercfg Secret in YAML",
    content: `${HEAD}data:\n  .dockercfg: ${btoa(DOCKERCFG)}\n`,
    problem: SECRET_IN(".dockercfg"),
  },
  {
    name: "an Opaque Secret that was made of a file",
    content: `apiVersion: v1\ndata:\n  config.json: ${btoa(CONFIG)}\nkind: Secret\ntype: Opaque\n`,
    problem: SECRET_IN("config.json"),
  },
  {
    name: "a Secret in YAML with its value on lines of its own",
    content: `kind: Secret\ndata:\n  .dockerconfigjson: >-\n${MULTI_LINE}type: kubernetes.io/dockerconfigjson\n`,
    problem: SECRET_IN(".dockerconfigjson"),
  },
  {
    name: "a Secret in YAML that ends in such lines",
    content: `${HEAD}data:\n  .dockerconfigjson: |\n    "${btoa(CONFIG)}"\n`,
    problem: SECRET_IN(".dockerconfigjson"),
  },
  {
    name: "a Secret in YAML with stringData",
    content: `kind: Secret\nstringData:\n  .dockerconfigjson: |\n    {\n\n      "auths":\n    ${
      JSON.stringify({ [MIRROR]: { auth: AUTH } })
    }\n    }\ntype: Opaque\n`,
    problem: SECRET_IN(".dockerconfigjson"),
  },
  {
    name: "a Secret in YAML that ends in stringData",
    content: `${HEAD}stringData:\n  .dockerconfigjson: |-\n    ${CONFIG}\n`,
    problem: SECRET_IN(".dockerconfigjson"),
  },
  {
    name: "the key of a Google service account",
    content: '{"type": "service_account", "private_key": "PEM"}\n',
    problem: "is the key of a Google service account",
    made: { username: "_json_key", password: '{"type": "service_account", "private_key": "PEM"}' },
  },
];

/** Files that hold nothing to convert; the command writes one to fill in. */
const REPLACED: readonly (readonly [string, string, string])[] = [
  ["nothing", "", "is empty"],
  ["a mark and white space", "\ufeff \n", "is empty"],
  ["a list", `["${SECRET}"]`, "holds no object in the format of Docker's config.json"],
  ["a text", `"${SECRET}"`, "holds no object in the format of Docker's config.json"],
  ["null", "null", "holds no object in the format of Docker's config.json"],
  ["YAML", `auths:\n  ${MIRROR}:\n    auth: ${AUTH}\n`, "is YAML, not JSON"],
  ["YAML on one line", `password: ${SECRET}`, "is YAML, not JSON"],
  ["YAML of one document", `---\r\npassword: ${SECRET}`, "is YAML, not JSON"],
  ["TOML", `[plugins."io.containerd.grpc.v1.cri"]\n  password = "${SECRET}"\n`, "is TOML, not JSON"],
  ["TOML without a table", `password = "${SECRET}"\n`, "is TOML, not JSON"],
  ["netrc", `machine mirror.example\n  login gilly\n  password ${SECRET}\n`, "is a netrc file, not JSON"],
  ["a key", `-----BEGIN PRIVATE KEY-----\n${SECRET}\n`, "is PEM, not JSON"],
  ["HTML", `\n<!DOCTYPE html><p>${SECRET}</p>`, "is a web page, not JSON"],
  ["a password", `${SECRET}\n`, "is not JSON"],
  ["a user and a password", `gilly:${SECRET}\n`, "is not JSON"],
  [
    "an Opaque Secret",
    `kind: Secret\nstringData:\n  password: ${SECRET}\n`,
    "is a Kubernetes Secret without a .dockerconfigjson that can be read",
  ],
  [
    "a Secret with a damaged value",
    JSON.stringify(IN_JSON({ ".dockerconfigjson": btoa(CONFIG).slice(0, -9) })),
    "is a Kubernetes Secret without a .dockerconfigjson that can be read",
  ],
];

function problemIn(content: string, file: string): AuthProblem {
  const found = readAuthConfig(content, file, MIRROR);
  assert("problem" in found, "the file was read");
  for (const secret of [SECRET, AUTH, btoa(CONFIG), btoa(DOCKERCFG)]) {
    assert(!`${found.problem} ${found.remedy}`.includes(secret), found.problem);
  }
  return found;
}

/** Returns the user and the password of the only entry. */
function credentialsOf({ auths }: AuthConfig): unknown {
  const [{ auth = "" } = {}, ...others] = Object.values(auths) as { auth?: string }[];
  assertEquals(others, []);
  const [, username, password] = /^(.*?):(.*)$/s.exec(atob(auth)) ?? [];
  return { username, password };
}

/** Runs the command of a remedy, and returns what the file gives then. */
async function credentialsAfter(remedy: string, file: string): Promise<unknown> {
  const [, command] = /^(?:convert|create) it: (.*)$/.exec(remedy) ?? [];
  assert(command !== undefined, remedy);
  const { success, stderr } = await new Deno.Command("sh", { args: ["-c", command] }).output();
  assert(success, `${command}: ${new TextDecoder().decode(stderr)}`);
  const config = readAuthConfig(await Deno.readTextFile(file), file, MIRROR);
  assert(!("problem" in config), `${command} left a file that ${"problem" in config && config.problem}`);
  return credentialsOf(config);
}

const FORMS: readonly FormCase[] = [
  ...CONVERTED,
  ...REPLACED.map(([name, content, problem]) => ({ name, content, problem, made: PLACEHOLDERS })),
];

for (const { name, content, problem, made = GILLY } of FORMS) {
  testIfPossible(
    `a file with ${name} is named, and the command for it works`,
    NEEDS,
    () =>
      inTemporaryFolder(async (folder) => {
        const file = `${folder}/it's an auth.json`;
        await Deno.writeFile(file, bytesOf(content), { mode: 0o640 });
        const found = problemIn(await Deno.readTextFile(file), file);
        assertEquals(found.problem, `${file} ${problem}`);
        assertEquals(await credentialsAfter(found.remedy, file), made);
        assertEquals((await Deno.stat(file)).mode! & 0o777, 0o640);
      }),
  );
}

/** JSON with a mistake, and where it is. */
const BROKEN: readonly (readonly [string, string, string])[] = [
  ["is cut off", CONFIG.slice(0, -1), ": see line 1, column "],
  ["is cut off in a text", CONFIG.slice(0, -5), ": see line 1, column "],
  ["has a comma too many", `{\n "auths": {\n  "${SECRET}": {},\n }\n}`, ": see line 4, column 2"],
  ["has other quotation marks", `{'auths': '${SECRET}'}`, ": see line 1, column 2"],
  ["is YAML in braces", `{auths: {${SECRET}: x}}`, ": see line 1, column 2"],
  ["has another object below it", `${CONFIG}\n${CONFIG}`, ": see line 2, column 1"],
  ["ends with its first brace", "{", ": see line 1, column 2"],
];

for (const [name, content, where] of BROKEN) {
  testIfPossible(
    `JSON that ${name} is named with the place, and without its content`,
    NEEDS,
    () =>
      inTemporaryFolder(async (folder) => {
        const file = `${folder}/auth.json`;
        await Deno.writeTextFile(file, content);
        const { problem, remedy } = problemIn(content, file);
        assertEquals(problem.slice(0, `${file} is not JSON${where}`.length), `${file} is not JSON${where}`);
        assertMatch(problem.slice(file.length), /^ is not JSON: see line \d+, column \d+$/);
        const command = remedy.replace(/^.*?: /, "");
        assert(command.includes(` ${file} `) && command.endsWith(" && echo it is JSON"), remedy);
        const said = async () => (await new Deno.Command("sh", { args: ["-c", command] }).output()).stdout;
        assertEquals(await said(), new Uint8Array());
        await Deno.writeTextFile(file, CONFIG);
        assertEquals(new TextDecoder().decode(await said()), "it is JSON\n");
      }),
  );
}

Deno.test("JSON that ends where a value is expected has no place to name", () => {
  assertEquals(problemIn('{"auths": ', "auth.json").problem, "auth.json is not JSON: it ends too early");
});

Deno.test("a byte-order mark is ignored", () => {
  const config = readAuthConfig(`\ufeff${CONFIG}`, "auth.json", MIRROR);
  assert("auths" in config && !config.isDockercfg);
  assertEquals(Object.keys(config.auths), [MIRROR]);
});

Deno.test("a .dockercfg is read as it is", () => {
  const config = readAuthConfig(DOCKERCFG, "auth.json", MIRROR);
  assert("auths" in config && config.isDockercfg);
  assertEquals(credentialsOf(config), GILLY);
});

/** Objects that are not a .dockercfg. */
const NOT_DOCKERCFG: readonly Record<string, unknown>[] = [
  {},
  { HttpHeaders: { "User-Agent": "x" } },
  { auths: {}, [MIRROR]: { auth: AUTH } },
  { credsStore: "pass", [MIRROR]: { auth: AUTH } },
  { [MIRROR]: { auth: AUTH }, psFormat: "table" },
];

for (const value of NOT_DOCKERCFG) {
  Deno.test(`an object with ${Object.keys(value).join(" and ") || "nothing"} is not a .dockercfg`, () => {
    const config = readAuthConfig(JSON.stringify(value), "auth.json", MIRROR);
    assert("auths" in config && !config.isDockercfg);
    assertEquals(config.auths, {});
  });
}

Deno.test("a word of a shell is quoted where it must be", async () => {
  for (const text of ["/etc/gilly/a-b_c.json", "a b", "it's", "$HOME", "", "a;b", "ä", "`x`"]) {
    const { stdout } = await new Deno.Command("sh", { args: ["-c", `printf %s ${shellWord(text)}`] }).output();
    assertEquals(new TextDecoder().decode(stdout), text);
  }
  assertEquals(shellWord("/etc/gilly/a-b_c.json"), "/etc/gilly/a-b_c.json");
});
