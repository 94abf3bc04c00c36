// Keys, tokens and passwords reach no output, whatever goes wrong with them.

import { assert, assertEquals, assertGreater } from "@std/assert";
import { failure } from "../fakes/containerd.ts";
import { fakeImage } from "../fakes/docker_engine.ts";
import { missingForMtls } from "../fakes/mtls_proxy.ts";
import { type AnyFakeNode, type FakeNode, type FakeNodeOptions, startNode } from "../fakes/node.ts";
import { type Scenario, scenario } from "../scenarios/scenario.ts";
import { freePort } from "../support/ports.ts";
import { runEverything, textsOf, type Traces } from "./every_command.ts";

const PASSWORD = "marked-password-7gL3";
const IDENTITY = "marked-identity-token-Zq81";
const TOKEN = "marked.bearer.token-W5pe";
const BASIC = btoa(`alice:${PASSWORD}`);

/** The mirrors require credentials: the first accepts its own, the second denies them. */
function guardedRegistries() {
  return {
    "mirror.example": {
      state: "up" as const,
      images: { "acme/good:1": fakeImage("good", [1000]) },
      credentials: { username: "alice", password: PASSWORD },
    },
    "other.example": { state: "denied" as const, images: {} },
  };
}

/** What a node with these mirrors has besides them. */
function guardedOptions(): Pick<FakeNodeOptions, "client" | "pods" | "config"> {
  const pod = (name: string, image: string) => ({ name, containers: [{ name: "app", image }] });
  return {
    client: {},
    pods: [pod("good", "gcr.io/acme/good:1"), pod("denied", "quay.io/acme/denied:1"), pod("never", "ghcr.io/acme/a:1")],
    config: `
registries: {gcr.io: mirror.example, quay.io: other.example}
mirrors: {mirror.example: {authFile: auth.json}, other.example: {authFile: auth.json}}
poll: {interval: 1s, safety: 1s}
logging: {level: debug}
metrics: {listen: ${freePort()}, textfile: metrics.prom}
`,
  };
}

async function withAuthFile<Node extends AnyFakeNode>(starting: Promise<Node>): Promise<Node> {
  const node = await starting;
  const auths = { "mirror.example": { auth: BASIC }, "other.example": { identitytoken: IDENTITY } };
  await Deno.writeTextFile(`${node.dir}/auth.json`, JSON.stringify({ auths }), { mode: 0o600 });
  return node;
}

function startGuardedNode(): Promise<FakeNode> {
  return withAuthFile(startNode({ ...guardedOptions(), engine: { registries: guardedRegistries() } }));
}

/** Every secret of the node, in each form in which it may be copied. */
async function secretsOf(node: AnyFakeNode): Promise<readonly string[]> {
  const key = await Deno.readTextFile(`${node.dir}/client.key`);
  const lines = key.split("\n").filter((line) => line.length > 20 && !line.startsWith("-"));
  assertGreater(lines.length, 1);
  const header = btoa(JSON.stringify({ username: "alice", password: PASSWORD }));
  return [PASSWORD, IDENTITY, TOKEN, BASIC, header, header.replaceAll("+", "-").replaceAll("/", "_"), ...lines];
}

function assertNoneIn(traces: Traces, secrets: readonly string[]): void {
  for (const [where, text] of textsOf(traces)) {
    assertEquals(secrets.filter((secret) => text.includes(secret)), [], where);
  }
}

const metricsUrl = async (gilly: { waitForLine(pattern: RegExp): Promise<string> }) =>
  /http:\S+(?=\/metrics)/.exec(await gilly.waitForLine(/serving metrics on/))![0];

/** A scenario of a node whose key is a secret too. */
const guarded = (given: Scenario, fn: () => Promise<void>) => scenario(given, fn, missingForMtls());
const standIn = (what: string, holds: string) => ({ subject: "secrets", what, means: "stand-in" as const, holds });

guarded(
  standIn(
    "marked secrets in client key, password and identity token; every command, at level debug",
    "in no line, ledger, state, metric or error; the mirror gets them",
  ),
  async () => {
    await using node = await startGuardedNode();
    const traces = await runEverything(node, {
      image: "gcr.io/acme/good:1",
      metricsUrl,
      until: async (gilly) => {
        await gilly.waitForLine(/repaired gcr\.io\/acme\/good:1/);
        await gilly.waitForLine(/cannot repair quay\.io\/acme\/denied:1 .*denied/);
      },
    });
    const sent = node.engine.journal.map(({ headers }) => headers["x-registry-auth"]).filter((it) => it !== undefined);
    assertGreater(sent.length, 1, "the mirrors were asked without credentials");
    assertNoneIn(traces, await secretsOf(node));
  },
);

guarded(
  standIn(
    "an Engine and a registry that repeat secrets in their errors",
    "in no line, ledger, state or metric",
  ),
  async () => {
    await using node = await startGuardedNode();
    node.engine.intercept = ({ path, headers }) => {
      const given = headers["x-registry-auth"];
      if (given === undefined || !/^\/(images\/create|distribution)/.test(path)) return undefined;
      const known = JSON.parse(atob(given.replaceAll("-", "+").replaceAll("_", "/"))) as Record<string, string>;
      const { username, password = known.identitytoken } = known;
      const words = `no entry for ${username} with ${password} (${btoa(`${username}:${password}`)}, ${given})`;
      return Response.json({ message: `unauthorized: ${words}` }, { status: 500 });
    };
    const traces = await runEverything(node, {
      image: "gcr.io/acme/good:1",
      metricsUrl,
      until: async (gilly) => {
        await gilly.waitForLine(/cannot repair gcr\.io\/acme\/good:1 .*unauthorized/);
        await gilly.waitForLine(/cannot repair quay\.io\/acme\/denied:1 .*unauthorized/);
      },
    });
    assertNoneIn(traces, await secretsOf(node));
  },
);

guarded(
  standIn(
    "a containerd and a registry that repeat secrets in their errors, plain and in base64",
    "in no line, ledger, state or metric; the mirror gets them",
  ),
  async () => {
    await using node = await withAuthFile(
      startNode({ ...guardedOptions(), runtime: "containerd", containerd: { registries: guardedRegistries() } }),
    );
    const [pair, bare] = [btoa(`:${IDENTITY}`), btoa(IDENTITY)];
    node.containerd.intercept = ({ method, request }) => {
      if (method !== "PullImage" || request.auth === undefined) return undefined;
      const { username = "", password, identityToken } = request.auth as Record<string, string>;
      const secret = password ?? identityToken ?? "";
      const url = `https://auth.example/token?refresh_token=${encodeURIComponent(secret)}`;
      const words = `no entry for ${username} with ${secret} (Basic ${btoa(`${username}:${secret}`)}, ${btoa(secret)})`;
      return failure(2, `failed to authorize: failed to fetch oauth token: Post "${url}": 401 Unauthorized: ${words}`);
    };
    const traces = await runEverything(node, {
      image: "gcr.io/acme/good:1",
      metricsUrl,
      until: async (gilly) => {
        await gilly.waitForLine(/cannot repair gcr\.io\/acme\/good:1 .*Unauthorized/);
        await gilly.waitForLine(/cannot repair quay\.io\/acme\/denied:1 .*Unauthorized/);
      },
    });
    const sent = node.containerd.journal.map(({ request }) => JSON.stringify(request.auth ?? null));
    for (const secret of [PASSWORD, IDENTITY]) {
      assert(sent.some((auth) => auth.includes(secret)), "a mirror was asked without its credentials");
    }
    assertNoneIn(traces, [...await secretsOf(node), btoa(PASSWORD), pair, bare]);
  },
);

/** Damage to the files, and what the commands then print. */
const DAMAGES: Readonly<Record<string, readonly [(dir: string) => Promise<void>, RegExp]>> = {
  "an auth file cut off in the middle": [async (dir) => {
    const text = await Deno.readTextFile(`${dir}/auth.json`);
    await Deno.writeTextFile(`${dir}/auth.json`, text.slice(0, -3));
  }, /auth\.json is not JSON/],
  "an auth file with the password in a wrong place": [
    (dir) => Deno.writeTextFile(`${dir}/auth.json`, JSON.stringify({ auths: { "mirror.example": PASSWORD } })),
    /has no auth, username and password/,
  ],
  "a client key cut off in the middle": [async (dir) => {
    const text = await Deno.readTextFile(`${dir}/client.key`);
    await Deno.writeTextFile(`${dir}/client.key`, text.slice(0, text.length / 2));
  }, /PRIVATE KEY block is incomplete/],
  "the key in place of the certificate": [async (dir) => {
    await Deno.copyFile(`${dir}/client.key`, `${dir}/client.crt`);
  }, /certificate/],
  "the key in place of the config": [async (dir) => {
    await Deno.copyFile(`${dir}/client.key`, `${dir}/config.yaml`);
  }, /config\.yaml/],
  "the auth file in place of the config": [async (dir) => {
    await Deno.copyFile(`${dir}/auth.json`, `${dir}/config.yaml`);
  }, /config\.yaml/],
  "a password in a key of the config": [async (dir) => {
    const file = `${dir}/config.yaml`;
    const text = await Deno.readTextFile(file);
    await Deno.writeTextFile(file, text.replace("authFile: auth.json", `authFile: auth.json, password: ${PASSWORD}`));
  }, /password/],
};

guarded(
  standIn(
    `files cut off, exchanged, misspelled, in ${Object.keys(DAMAGES).length} ways`,
    "reported with its cause, without its content",
  ),
  async () => {
    const { runProgram } = await import("../support/program.ts");
    for (const [what, [damage, said]] of Object.entries(DAMAGES)) {
      await using node = await startGuardedNode();
      const secrets = await secretsOf(node);
      await damage(node.dir);
      let all = "";
      for (const call of [["once"], ["once", "--dry-run"], ["check"], ["explain", "gcr.io/a:1"]]) {
        const { stdout, stderr } = await runProgram([...call, "--config", node.configFile]);
        all += stdout + stderr;
      }
      assert(said.test(all), `${what}: ${all}`);
      assertEquals(secrets.filter((secret) => all.includes(secret)), [], `${what}: ${all}`);
    }
  },
);

guarded(standIn("a token that the kubelet refuses", "in no line, ledger, state or metric"), async () => {
  await using node = await startGuardedNode();
  await Deno.writeTextFile(`${node.dir}/token`, `${TOKEN}\n`, { mode: 0o600 });
  const text = await Deno.readTextFile(node.configFile);
  await Deno.writeTextFile(
    node.configFile,
    text.replace("certFile: client.crt, keyFile: client.key", "tokenFile: token"),
  );
  await Deno.writeTextFile(node.ledgerFile, "");
  const traces = await runEverything(node, {
    image: "gcr.io/acme/good:1",
    metricsUrl,
    until: (gilly) => gilly.waitForLine(/answered 401/),
  });
  assertEquals(node.kubelet.requests.at(-1)?.identifiedBy, "nothing");
  assertNoneIn(traces, await secretsOf(node));
});
