// Tests credentials that are limited to paths: in the config, in requests to a mirror, and in
// messages.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { checkOpenCredentials } from "../../lib/check/files/credentials.ts";
import { checkMirror, checkMirrorFailure, probesOf } from "../../lib/check/mirrors.ts";
import { type AuthSettings, mistakeInAuthPath, outsideInWords, usesCredentials } from "../../lib/images/auth_paths.ts";
import { fakeImage } from "../fakes/docker_engine.ts";
import { type FakeNode, startNode } from "../fakes/node.ts";
import { MEMORY_ADVICE } from "../fakes/runtime.ts";
import { runProgram } from "../support/program.ts";

const HOST = "harbor.example:5000";
const FILE = "/etc/gilly/harbor.json";

/** Patterns, a path at the mirror, and whether the path uses the credentials. */
const PATHS: readonly (readonly [readonly string[], string, boolean])[] = [
  [["proxy/**"], "proxy/a:1", true],
  [["proxy/**"], "proxy/a/b/c:1", true],
  [["proxy/**"], "Proxy/a:1", false],
  [["proxy/**"], "proxy-2/a:1", false],
  [["proxy/**"], "team/proxy/a:1", false],
  [["proxy/**"], `proxy/a@sha256:${"a".repeat(64)}`, true],
  [["proxy/"], "proxy/a/b:1", true],
  [["proxy"], "proxy/a:1", false],
  [["proxy"], "proxy:1", true],
  [["proxy/*"], "proxy/a:1", true],
  [["proxy/*"], "proxy/a/b:1", false],
  [["proxy/a:1.*"], "proxy/a:1.2", true],
  [["proxy/a:1.*"], "proxy/a:2", false],
  [["one/**", "two/**"], "two/a:1", true],
  [["**"], "any/thing:1", true],
];

for (const [authPaths, path, uses] of PATHS) {
  Deno.test(`authPaths ${authPaths}: ${path} is requested ${uses ? "with" : "without"} credentials`, () => {
    assertEquals(usesCredentials(HOST, { authFile: FILE, authPaths }, `${HOST}/${path}`), uses);
  });
}

Deno.test("without authPaths every path uses credentials, and without authFile none", () => {
  assertEquals(usesCredentials(HOST, { authFile: FILE }, `${HOST}/any/thing:1`), true);
  assertEquals(usesCredentials(HOST, { authPaths: ["**"] }, `${HOST}/any/thing:1`), false);
  assertEquals(usesCredentials(HOST, undefined, `${HOST}/any/thing:1`), false);
  assertEquals(outsideInWords(HOST, `${HOST}/a/b:1`), `a/b is outside mirrors."${HOST}".authPaths`);
});

for (const pattern of ["", "/proxy/**", "proxy//a", "proxy/***", "proxy/a@sha256:1", "proxy/UP", "proxy/{registry}"]) {
  Deno.test(`"${pattern}" is an invalid pattern`, () => assertEquals(typeof mistakeInAuthPath(pattern), "string"));
}

/**
 * A rule, its mirror's settings, and the place that any pod can run; undefined without a warning.
 */
const RULES: readonly (readonly [string, string, AuthSettings, string | undefined])[] = [
  ["*", HOST, { authFile: FILE }, HOST],
  ["*", `${HOST}/proxy`, { authFile: FILE }, `${HOST}/proxy`],
  ["*", HOST, { authFile: FILE, authPaths: ["**"] }, HOST],
  ["*", HOST, { authFile: FILE, authPaths: ["proxy/**"] }, undefined],
  ["*", HOST, {}, undefined],
  ["*", "other.example", { authFile: FILE }, undefined],
  ["gcr.io", HOST, { authFile: FILE }, undefined],
];

for (const [origin, mirror, settings, place] of RULES) {
  Deno.test(`${origin}: ${mirror} with ${JSON.stringify(settings)} is ${place ? "a warning" : "fine"}`, () => {
    const found = checkOpenCredentials([{ origin, mirrors: [mirror] }], { [HOST]: settings });
    const message = `with the rule "*", any pod can run whatever ${FILE} gives access to on ${place}, ` +
      "without imagePullSecrets";
    assertEquals(
      found.map(({ verdict, message }) => [verdict, message]),
      place === undefined ? [] : [["warn", message]],
    );
  });
}

Deno.test("a mirror with authPaths is probed below a path that uses the credentials, if a rule leads there", () => {
  const probed = (mirrors: string[], authPaths: string[]) =>
    probesOf([{ origin: "gcr.io", mirrors }], { [HOST]: { authFile: FILE, authPaths } }).map(({ reference }) =>
      reference
    );
  const nobodys = "gilly-check/no-such-image:none";
  assertEquals(probed([HOST], ["proxy/**"]), [`${HOST}/proxy/${nobodys}`]);
  assertEquals(probed([HOST], ["team/*/app:1"]), [`${HOST}/${nobodys}`], "no tag is nobody's and matches");
  assertEquals(probed([HOST], ["team/*/app"]), [`${HOST}/team/gilly-check/app:none`]);
  assertEquals(probed([`${HOST}/a`, `${HOST}/proxy`], ["proxy/"]), [`${HOST}/proxy/${nobodys}`]);
  assertEquals(probed([`${HOST}/a`], ["proxy/**"]), [`${HOST}/a/${nobodys}`]);
});

Deno.test("a mirror probed outside authPaths is not reported to accept or reject the credentials", () => {
  const credentials = { file: FILE, unused: outsideInWords(HOST, `${HOST}/a/b:1`) };
  const { verdict, message } = checkMirror(
    { mirror: HOST, reference: `${HOST}/a/b:1` },
    "absent",
    credentials,
    undefined,
  );
  assertEquals(verdict, "ok");
  assertStringIncludes(message, `answers without credentials; ${FILE} was not tried: a/b is outside mirrors.`);
  const denied = checkMirrorFailure(HOST, { kind: "denied", text: "unauthorized" }, {
    ...{ credentials, advice: MEMORY_ADVICE, isOwn: false },
  });
  assertEquals([denied.verdict, denied.remedy], [
    "warn",
    `add the paths that pods need to mirrors."${HOST}".authPaths`,
  ]);
  assertStringIncludes(denied.message, "requires credentials: unauthorized; asked without credentials: a/b is outside");
});

/** A worker whose mirror requires credentials, and a config that uses them only for some paths. */
async function boundedNode(): Promise<FakeNode> {
  const credentials = { username: "gilly", password: "rosebud-0451" };
  const images = { "proxy/a:1": fakeImage("a"), "team/secret:1": fakeImage("secret") };
  const pod = (name: string, image: string) => ({ name, containers: [{ name: "app", image }] });
  const node = await startNode({
    pods: [pod("public", "gcr.io/proxy/a:1"), pod("thief", "gcr.io/team/secret:1")],
    engine: { registries: { "harbor.example": { state: "up", images, credentials } } },
    config: [
      'registries: {"*": harbor.example}',
      "mirrors: {harbor.example: {authFile: auth.json, authPaths: [proxy/**]}}",
      "",
    ].join("\n"),
  });
  await Deno.writeTextFile(`${node.dir}/auth.json`, JSON.stringify({ auths: { "harbor.example": credentials } }));
  return node;
}

Deno.test("a pod that names a path outside authPaths gets nothing that requires the credentials", async () => {
  await using node = await boundedNode();
  const { stderr } = await runProgram(["once", "--config", node.configFile]);
  assertEquals([node.engine.has("gcr.io/proxy/a:1"), node.engine.has("gcr.io/team/secret:1")], [true, false]);
  const line = stderr.split("\n").find((line) => line.includes("cannot repair gcr.io/team/secret:1")) ?? "";
  const said =
    'harbor.example was asked without credentials: team/secret is outside mirrors."harbor.example".authPaths';
  assertStringIncludes(line, said);
  assertEquals(node.engine.unexpected, []);
});

Deno.test("explain and check report for each path whether credentials are used", async () => {
  await using node = await boundedNode();
  const argv = ["explain", "--config", node.configFile, "gcr.io/proxy/a:1", "gcr.io/team/secret:1"];
  const { stdout: text } = await runProgram(argv);
  assertStringIncludes(text, `1. harbor.example/proxy/a:1, with the credentials of ${node.dir}/auth.json`);
  const without = 'without credentials: team/secret is outside mirrors."harbor.example".authPaths';
  assertStringIncludes(text, `1. harbor.example/team/secret:1, ${without}`);
  const { stdout: json } = await runProgram([...argv, "--json"]);
  assertEquals(JSON.parse(json).map(({ credentials }: { credentials: string[] }) => credentials), [
    [`with the credentials of ${node.dir}/auth.json`],
    [without],
  ]);
  const { stdout: checked } = await runProgram(["check", "--config", node.configFile]);
  assertStringIncludes(
    checked,
    `mirror harbor.example: reachable, and accepts the credentials of ${node.dir}/auth.json`,
  );
});

Deno.test("with keys for paths, explain and check report the same for each path", async () => {
  const credentials = { username: "gilly", password: "rosebud-0451" };
  await using node = await startNode({
    client: {},
    engine: { registries: { "harbor.example": { state: "up", images: { "proxy/a:1": fakeImage("a") }, credentials } } },
    config: 'registries: {"*": harbor.example}\nmirrors: {harbor.example: {authFile: auth.json}}\n',
  });
  const file = `${node.dir}/auth.json`;
  await Deno.writeTextFile(file, JSON.stringify({ auths: { "harbor.example/proxy": credentials } }));
  const argv = ["explain", "--config", node.configFile, "--json", "gcr.io/proxy/a:1", "gcr.io/team/secret:1"];
  const { stdout: json } = await runProgram(argv);
  assertEquals(JSON.parse(json).map(({ credentials }: { credentials: string[] }) => credentials), [
    [`with the credentials of ${file}`],
    [`without credentials: ${file} has credentials only for "harbor.example/proxy", not for harbor.example/team/secret`],
  ]);
  const { stdout: checked } = await runProgram(["check", "--config", node.configFile]);
  assertStringIncludes(checked, `mirror harbor.example: reachable, and accepts the credentials of ${file}`);
});

/** Files, and what `check` says of them. */
const CHECKED: readonly (readonly [string, string, string])[] = [
  ["auths: {}\n", "is YAML, not JSON", "create it: printf"],
  [
    JSON.stringify({ auths: { "harbor.example": { username: "gilly", password: "rosebud-0451\n" } } }),
    ', whose password in the entry "harbor.example" ends in a line break, as echo adds one, are refused',
    "set its auth to what this prints: printf",
  ],
];

for (const [content, message, remedy] of CHECKED) {
  Deno.test(`check prints the next step of an auth file that ${message}`, async () => {
    await using node = await boundedNode();
    await Deno.writeTextFile(`${node.dir}/auth.json`, content);
    const { stdout } = await runProgram(["check", "--config", node.configFile, "--json"]);
    const findings: { name: string; message: string; remedy: string }[] = JSON.parse(stdout);
    const found = findings.find(({ name }) => name === "mirror harbor.example");
    assertStringIncludes(found?.message ?? stdout, `${node.dir}/auth.json`);
    assertStringIncludes(found!.message, message);
    assertStringIncludes(found!.remedy, remedy);
    assert(!stdout.includes("rosebud"), stdout);
  });
}
