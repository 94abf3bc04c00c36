// Secrets stay secret in whatever shape a file holds them, although libraries, the kubelet and the
// Engine quote what they receive.

import { assert, assertEquals } from "@std/assert";
import type { Gilly } from "../e2e/gilly.ts";
import { missingForMtls } from "../fakes/mtls_proxy.ts";
import { type FakeNode, startNode } from "../fakes/node.ts";
import { scenario } from "../scenarios/scenario.ts";
import { runProgram, startProgram } from "../support/program.ts";

const TOKEN = "marked-bearer-W5pe8rTq.Zb7XkUv2";
const PASSWORD = "marked-passwd-7gL3nYc6.Hd9MsRw4";

const utf8 = (text: string) => new TextEncoder().encode(text);
const latin1 = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));
const utf16 = (text: string) => new Uint8Array(Uint16Array.from(text, (character) => character.charCodeAt(0)).buffer);
const halves = (text: string, between: string) => {
  const middle = Math.ceil(text.length / 2);
  return text.slice(0, middle) + between + text.slice(middle);
};

/** What editors, shells and other programs do to a text when they write it to a file. */
const SHAPES: Readonly<Record<string, Shape>> = {
  "padded with NULs": (text) => utf8(text + "\0".repeat(32)),
  "with a NUL inside": (text) => utf8(halves(text, "\0")),
  "UTF-16 with a byte order mark": (text) => utf16(`\ufeff${text}`),
  "UTF-16 without one": utf16,
  "UTF-16, the other way round": (text) => utf16(text).map((_, index, bytes) => bytes[index ^ 1]!),
  "UTF-8 with a byte order mark": (text) => utf8(`\ufeff${text}`),
  "Latin-1": (text) => latin1(halves(text, "é")),
  "UTF-8 beyond ASCII": (text) => utf8(halves(text, "é→")),
  "with a carriage return at its end": (text) => utf8(`${text}\r`),
  "with a line end inside": (text) => utf8(halves(text, "\n")),
  "with a control character inside": (text) => utf8(halves(text, "\u0001")),
  "in quotes": (text) => utf8(`"${text}"\n`),
  "with a space that does not break": (text) => utf8(`${text}\u00a0`),
};

/** The length of a piece that is enough to recognize a secret. */
const PIECE = 9;

/**
 * Whether a text has a piece of the secret, also with UTF-16 bytes or escapes between its letters.
 */
function repeats(text: string, secret: string): boolean {
  const plain = text.replaceAll(/\\u[0-9a-f]{4}|\\x[0-9a-f]{2}|\\0|[^\x21-\x7e]/gi, "");
  return Array.from({ length: secret.length - PIECE + 1 }, (_, at) => secret.slice(at, at + PIECE))
    .some((piece) => text.includes(piece) || plain.includes(piece));
}

const MIRRORS = ["mirror.example", "mirror-2.example", "mirror-3.example"] as const;

/** A node with a pod for each mirror, whose Engine repeats the credentials it receives. */
async function startNosyNode(): Promise<FakeNode> {
  const pod = (name: string, image: string) => ({ name, containers: [{ name: "app", image }] });
  const up = { state: "up" as const, images: {} };
  const node = await startNode({
    client: {},
    pods: [pod("a", "gcr.io/a/a:1"), pod("b", "quay.io/a/b:1"), pod("c", "ghcr.io/a/c:1")],
    engine: { registries: Object.fromEntries(MIRRORS.map((mirror) => [mirror, up])) },
    config: `
registries: {gcr.io: ${MIRRORS[0]}, quay.io: ${MIRRORS[1]}, ghcr.io: ${MIRRORS[2]}}
mirrors: {${MIRRORS.map((mirror) => `${mirror}: {authFile: auth.json}`).join(", ")}}
poll: {interval: 1s, safety: 1s}
logging: {level: debug}
metrics: {textfile: metrics.prom}
`,
  });
  node.engine.intercept = ({ path, headers }) => {
    const given = headers["x-registry-auth"];
    if (given === undefined || !/^\/(images\/create|distribution)/.test(path)) return undefined;
    const bytes = Uint8Array.from(atob(given.replaceAll("-", "+").replaceAll("_", "/")), (it) => it.charCodeAt(0));
    const { password, identitytoken } = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, string>;
    const secret = password ?? identitytoken;
    const words = `unauthorized: ${given}, that is ${secret} (${JSON.stringify(secret)})`;
    return Response.json({ message: words }, { status: 500 });
  };
  await write(node, "auth.json", utf8(JSON.stringify({ auths: {} })));
  await Deno.mkdir(`${node.dir}/run`);
  return node;
}

async function write(node: FakeNode, name: string, bytes: Uint8Array): Promise<void> {
  await Deno.writeFile(`${node.dir}/${name}`, bytes, { mode: 0o600 });
}

type Shape = (text: string) => Uint8Array<ArrayBuffer>;

/** Files that hold a secret: what is in them, and how it gets its shape. */
interface Planted {
  readonly files: readonly string[];
  readonly secret: (node: FakeNode) => Promise<string>;
  readonly contents: (secret: string, shape: Shape) => Uint8Array;
}

/** The shaped bytes as Latin-1 text. */
const textOf = (bytes: Uint8Array) => String.fromCharCode(...bytes);
const asItIs: Planted["contents"] = (secret, shape) => shape(secret);
const password = () => Promise.resolve(PASSWORD);
const keyOf = (node: FakeNode) => Deno.readTextFile(`${node.dir}/client.key`);
const auths = (...entries: unknown[]) =>
  JSON.stringify({ auths: Object.fromEntries(entries.map((entry, index) => [MIRRORS[index], entry])) });

const PLANTED: Readonly<Record<string, Planted>> = {
  "a token": { files: ["token"], secret: () => Promise.resolve(TOKEN), contents: asItIs },
  "a key": { files: ["client.key"], secret: keyOf, contents: asItIs },
  "a key in place of certificate and authority": { files: ["client.crt", "ca.crt"], secret: keyOf, contents: asItIs },
  "an auth file": {
    files: ["auth.json"],
    secret: password,
    contents: (secret, shape) => shape(auths({ username: "alice", password: secret })),
  },
  "a password, an identity token, and a password in base64,": {
    files: ["auth.json"],
    secret: password,
    contents: (secret, shape) => {
      const text = textOf(shape(secret));
      return utf8(
        auths({ username: "alice", password: text }, { identitytoken: text }, { auth: btoa(`alice:${text}`) }),
      );
    },
  },
};

/** The parts of a secret that are unique to it: not the first bytes, which all keys share. */
function partsOf(secret: string): string[] {
  if (!secret.includes("\n")) return [secret];
  return secret.split("\n").filter((line) => line.length > PIECE && !line.startsWith("-"))
    .map((line) => line.replace(/^MI[A-Za-z0-9+/]{40}/, ""));
}

/** Makes the daemon reload its files and waits for the next pass, successful or not. */
async function reload(node: FakeNode, gilly: Gilly): Promise<void> {
  const from = gilly.journal.length;
  gilly.signal("SIGHUP");
  await lineAfter(gilly, from, "[Config]");
  await Promise.race([node.kubelet.waitForRequest(), lineAfter(gilly, gilly.journal.length, "[GetPods]")]);
}

async function lineAfter(gilly: Gilly, from: number, word: string): Promise<void> {
  while (!gilly.journal.slice(from).some((line) => line.includes(word))) await gilly.nextLine();
}

/** Asserts that no output has the secret in any shape, of new commands and of a running daemon. */
async function assertKept(what: string, { files, secret: find, contents }: Planted): Promise<void> {
  await using node = await startNosyNode();
  const secret = await find(node);
  if (files.includes("token")) {
    const text = await Deno.readTextFile(node.configFile);
    const certificate = "certFile: client.crt, keyFile: client.key";
    await Deno.writeTextFile(node.configFile, text.replace(certificate, "tokenFile: token"));
    await write(node, "token", utf8(secret));
    node.kubelet.answerWith({ status: 400, body: `malformed: authorization: Bearer ${secret}, that is ${secret}` });
  }
  await using gilly = await startProgram(["run", "--config", node.configFile], {
    RUNTIME_DIRECTORY: `${node.dir}/run`,
  });
  await node.kubelet.waitForRequest();
  for (const [shape, make] of Object.entries(SHAPES)) {
    for (const file of files) await write(node, file, contents(secret, make));
    const from = gilly.journal.length;
    const calls = [["once"], ["check", "--json"]];
    const [runs] = await Promise.all([
      Promise.all(calls.map((call) => runProgram([...call, "--config", node.configFile]))),
      reload(node, gilly),
    ]);
    const left = await Promise.all(
      ["run/state.json", "metrics.prom", "ledger.jsonl"].map((name) =>
        Deno.readTextFile(`${node.dir}/${name}`).catch(() => "")
      ),
    );
    const said = [...runs.flatMap(({ stdout, stderr }) => [stdout, stderr]), ...gilly.journal.slice(from)];
    const all = [...said, ...left].join("\n");
    assert(all.includes('"verdict"') && left[0] !== "", all);
    assertEquals(partsOf(secret).filter((part) => repeats(all, part)).length, 0, `${what}, ${shape}: ${all}`);
  }
}

for (const [what, planted] of Object.entries(PLANTED)) {
  scenario(
    {
      subject: "secrets",
      what: `${what} in ${Object.keys(SHAPES).length} shapes, repeated by kubelet and Engine; once, check, the daemon`,
      means: "stand-in",
      holds: "no piece of it in any line, state, metric or ledger",
    },
    () => assertKept(what, planted),
    missingForMtls(),
  );
}

Deno.test("a piece of a secret is found in every shape", () => {
  for (const [shape, make] of Object.entries(SHAPES)) {
    const bytes = make(TOKEN);
    for (const text of [textOf(bytes), new TextDecoder().decode(bytes), JSON.stringify(textOf(bytes))]) {
      assert(repeats(`Invalid header value: "Bearer ${text}"`, TOKEN), shape);
    }
  }
  assertEquals(repeats("marked-b marked-p", TOKEN), false);
});
