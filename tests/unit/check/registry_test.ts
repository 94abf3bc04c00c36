// Tests lib/check/registry.ts on a mirror: the answers of a runtime that can ask without pulling.

import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { askingMirrors } from "../../../lib/check/registry.ts";
import { RuntimeError } from "../../../lib/runtime/errors.ts";
import { makeAuthority } from "../../fakes/certificates.ts";
import { clockAt } from "../../fakes/clock.ts";
import { type FakeMirror, registryError, startMirror } from "../../fakes/mirror.ts";

const never = new AbortController().signal;

async function withMirror(use: (mirror: FakeMirror) => Promise<void>): Promise<void> {
  const mirror = startMirror();
  try {
    await use(mirror);
  } finally {
    await mirror.stop();
  }
}

function ask(reference: string, auth?: { readonly username: string; readonly password: string }) {
  return askingMirrors("/nonexistent", clockAt(0).now)(reference, { signal: never, auth });
}

Deno.test("an image is asked for by HEAD, and told by its digest", () =>
  withMirror(async (mirror) => {
    const { digest } = mirror.put("a/b:1");
    assertEquals(await ask(`${mirror.host}/a/b:1`), { digest });
    assertEquals(await ask(`${mirror.host}/a/b@${digest}`), { digest });
    assertEquals(new Set(mirror.requests.map((line) => line.split(" ")[0])), new Set(["HEAD"]));
    assertEquals(await ask(`${mirror.host}/a/b:2`), undefined);
    assertEquals(mirror.requests.at(-1)!.split(" ")[0], "GET", "whether a registry says so is in the body");
  }));

const NO_REGISTRIES: readonly (readonly [what: string, answer: () => Response, told: string])[] = [
  ["a page for every name", () => new Response("<html>", { headers: { "content-type": "text/html" } }), "a web page"],
  ["a page with 404 and no type", () => new Response("<html>", { status: 404 }), "answered 404, a web page"],
  ["a web server", () => new Response("404 page not found", { status: 404 }), 'answered 404, "404 page not found"'],
  ["another API", () => Response.json({ message: "no route" }, { status: 404 }), "no route"],
];

for (const [what, answer, told] of NO_REGISTRIES) {
  Deno.test(`${what} is no registry, though HEAD alone looks like one`, () =>
    withMirror(async (mirror) => {
      mirror.respond = answer;
      const error = await assertRejects(() => ask(`${mirror.host}/a/b:1`), RuntimeError, told);
      assertEquals(error.kind, "not-a-registry");
    }));
}

for (
  const [status, kind] of [[401, "denied"], [403, "denied"], [429, "rate-limited"], [503, "registry-error"]] as const
) {
  Deno.test(`a mirror that answers ${status} is ${kind}, and no secret is in the error`, () =>
    withMirror(async (mirror) => {
      mirror.respond = () => new Response("alice wonderland", { status });
      const auth = { username: "alice", password: "wonderland" };
      const error = await assertRejects(() => ask(`${mirror.host}/a/b:1`, auth), RuntimeError);
      assertEquals(error.kind, kind);
      assertStringIncludes(error.message, `resolve ${mirror.host}/a/b:1: `);
      assertEquals(error.message.includes("wonderland"), false);
    }));
}

Deno.test("what a mirror says of its refusal is in the error", () =>
  withMirror(async (mirror) => {
    mirror.respond = () => registryError(403, "DENIED", "requested access to the resource is denied");
    const error = await assertRejects(() => ask(`${mirror.host}/a/b:1`), RuntimeError);
    assertEquals([error.kind, mirror.requests.map((line) => line.split(" ")[0])], ["denied", ["HEAD", "GET"]]);
    assertStringIncludes(error.message, "answered 403, DENIED: requested access to the resource is denied");
  }));

Deno.test("the CAs of the host are trusted, unless they cannot be used", async () => {
  const folder = await Deno.makeTempDir({ prefix: "gilly-test-" });
  const authority = makeAuthority("of this host");
  const { certificatePem: cert, keyPem: key } = authority.issueServer({ dnsNames: ["localhost"] });
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, cert, key, onListen() {} },
    () => new Response(null, { headers: { "docker-content-digest": "sha256:ab" } }),
  );
  const told = (...files: string[]) => {
    const paths = files.map((name) => `${folder}/${name}`);
    return askingMirrors("/nonexistent", clockAt(0).now, paths)(`localhost:${server.addr.port}/a:1`, { signal: never });
  };
  try {
    await Deno.writeTextFile(`${folder}/bundle.pem`, authority.certificatePem);
    await Deno.writeTextFile(`${folder}/broken.pem`, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assertEquals(await told("absent.pem", "bundle.pem"), { digest: "sha256:ab" });
    for (const files of [[], ["broken.pem"]]) {
      const error = await assertRejects(() => told(...files), RuntimeError);
      assertStringIncludes(error.message, "UnknownIssuer");
    }
  } finally {
    await server.shutdown();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a mirror that refuses connections is registry-down", async () => {
  const error = await assertRejects(() => ask("127.0.0.1:1/a/b:1"), RuntimeError);
  assertEquals(error.kind, "registry-down");
});
