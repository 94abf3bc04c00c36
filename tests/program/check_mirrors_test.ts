// Tests what `gilly check` says of mirrors that are no registries, and of runtimes that cannot pull.

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Finding } from "../../lib/check/finding.ts";
import { type FakeMirror, registryError, type Respond, startMirror } from "../fakes/mirror.ts";
import { type AnyFakeNode, startNode } from "../fakes/node.ts";
import { runProgram } from "../support/program.ts";

const HTML = { "content-type": "text/html; charset=utf-8" };
const SIGN_IN = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>";
const page = (status: number): Respond => ({ method }) =>
  new Response(method === "HEAD" ? null : SIGN_IN, { status, headers: HTML });

/** Runs check and returns its findings, each as `verdict name: message → remedy`. */
async function checked({ configFile, dir }: AnyFakeNode): Promise<string[]> {
  const { stdout, stderr } = await runProgram([
    ...["check", "--json", "--config", configFile, "--state-file", `${dir}/state.json`],
  ]);
  assertEquals(stderr, "");
  const findings = JSON.parse(stdout) as Finding[];
  return findings.map(({ name, verdict, message, remedy }) => `${verdict} ${name}: ${message} → ${remedy ?? ""}`);
}

async function withMirrors(count: number, use: (mirrors: FakeMirror[]) => Promise<void>): Promise<void> {
  const mirrors = Array.from({ length: count }, startMirror);
  try {
    await use(mirrors);
  } finally {
    await Promise.all(mirrors.map((mirror) => mirror.stop()));
  }
}

/** What answers in the place of a registry, and what check says of it. */
const NO_REGISTRIES: readonly (readonly [respond: Respond, says: RegExp])[] = [
  [page(200), /^fail .*what answers is not a registry: .*answered 200, a web page → check the mirror's name and path/],
  [page(404), /^fail .*what answers is not a registry: .*answered 404, a web page → .*curl -v https:/],
  [page(403), /^fail .*what answers is not a registry: .*answered 403, a web page/],
  [
    (request) =>
      new URL(request.url).pathname === "/login"
        ? page(200)(request, () => new Response())
        : new Response(null, { status: 302, headers: { location: "/login" } }),
    /^fail .*what answers is not a registry: .*answered 200, a web page/,
  ],
  [
    (request) =>
      new URL(request.url).pathname === "/token"
        ? page(404)(request, () => new Response())
        : registryError(401, "UNAUTHORIZED", "authentication required", {
          "www-authenticate": `Bearer realm="${new URL(request.url).origin}/token",service="s"`,
        }),
    /^fail .*what answers is not a registry: .*its token server, \S+\/token, answered 404, a web page/,
  ],
  [() => new Response("404 page not found\n", { status: 404 }), /^fail .*not a registry: .*"404 page not found"/],
  [
    () => new Response("{}", { headers: { "docker-content-digest": "sha256:ab" } }),
    /^warn .*an image of any name: it claims to have .*no-such-image:none, which nobody pushed/,
  ],
  [page(502), /^fail .*reachable, but it answers with an error: .*answered 502 → its own log says why/],
  [(_request, serve) => serve(), /^ok .*reachable, and answers without credentials/],
];

Deno.test("check fails on whatever answers in the place of a registry, and not on a registry", async () => {
  await withMirrors(NO_REGISTRIES.length, async (mirrors) => {
    mirrors.forEach((mirror, index) => mirror.respond = NO_REGISTRIES[index]![0]);
    const hosts = mirrors.map(({ host }) => `"${host}"`).join(", ");
    await using node = await startNode({ runtime: "containerd", config: `registries: {gcr.io: [${hosts}]}\n` });
    const found = await checked(node);
    for (const [index, [, says]] of NO_REGISTRIES.entries()) {
      const name = ` mirror ${mirrors[index]!.host}: `;
      assertMatch(found.find((line) => line.includes(name)) ?? found.join("\n"), says);
    }
  });
});

Deno.test("check says whether a mirror requires the credentials it was sent, and warns of /v2 in a path", async () => {
  await withMirrors(2, async ([open, guarded]) => {
    guarded!.respond = ({ headers }, serve) =>
      headers.has("authorization")
        ? serve()
        : registryError(401, "UNAUTHORIZED", "authentication required", { "www-authenticate": 'Basic realm="r"' });
    const [first, second] = [open!.host, guarded!.host];
    await using node = await startNode({
      runtime: "containerd",
      config: `registries: {gcr.io: ["${first}/v2/team", "${second}"]}\n` +
        `mirrors: {"${first}": {authFile: a.json}, "${second}": {authFile: a.json}}\n`,
    });
    const auth = { username: "gilly", password: "rosebud-0451" };
    await Deno.writeTextFile(`${node.dir}/a.json`, JSON.stringify({ auths: { [first]: auth, [second]: auth } }), {
      mode: 0o600,
    });
    const found = await checked(node);
    const named = (name: string) => found.find((line) => line.includes(` ${name}: `)) ?? found.join("\n");
    assertMatch(named(`mirror ${first}`), /^ok .*answers without credentials; those of \S+a\.json were sent, and not/);
    assertMatch(named(`mirror ${second}`), /^ok .*reachable, and accepts the credentials of \S+a\.json/);
    assertMatch(named(`mirror ${first}/v2/team`), /^warn .*the \/v2 of a registry's API .* → write \S+:\d+\/team into/);
    assertEquals(found.filter((line) => line.includes("rosebud")), []);
  });
});

Deno.test("where an Engine's text hides what answered, check asks the mirror itself", async () => {
  await withMirrors(1, async ([mirror]) => {
    await using node = await startNode({ config: `registries: {gcr.io: "${mirror!.host}"}\n` });
    // Engine 28.5 for a 404 without a body, and for a page with 403.
    for (const [status, message] of [[404, "unknown: "], [403, "denied: Sign in"]] as const) {
      mirror!.respond = page(status);
      node.engine.intercept = ({ path }) =>
        path.startsWith("/distribution/") ? Response.json({ message }, { status: 500 }) : undefined;
      const found = await checked(node);
      const line = found.find((line) => line.includes(` mirror ${mirror!.host}: `)) ?? found.join("\n");
      assertMatch(
        line,
        /^fail .*what answers is not a registry: (?:unknown|denied):.*; to Gilly itself: GET .* a web page/,
      );
    }
  });
});

Deno.test("check fails where the Engine answers and its containerd does not", async () => {
  await using node = await startNode({
    engine: { registries: { "mirror.example": { state: "up", images: {} } } },
    config: "registries: {gcr.io: mirror.example}\n",
  });
  node.engine.intercept = ({ path }) =>
    path === "/info"
      ? Response.json({ ServerVersion: "20.10.24", DriverStatus: [], ContainerdCommit: { ID: "N/A", Expected: "N/A" } })
      : undefined;
  const found = await checked(node);
  const says =
    "fail docker engine: Docker Engine 20.10.24, API 1.41: its containerd does not answer it, so every pull " +
    "fails → systemctl start containerd; journalctl -u containerd -n 20 says why it stopped";
  assert(found.includes(says), found.join("\n"));
});

Deno.test("a directory in the place of Docker's socket is told as such, with how to remove it", async () => {
  await using node = await startNode({ config: "registries: {gcr.io: mirror.example}\n" });
  await node.engine.stop();
  await Deno.mkdir(node.engine.socket);
  const found = await checked(node);
  assertMatch(
    found.find((line) => line.includes("docker socket")) ?? found.join("\n"),
    /^fail docker socket: \S+ is a directory, not a socket → check docker\.socket .*rmdir \S+; systemctl/,
  );
  await Deno.remove(node.engine.socket);
});
