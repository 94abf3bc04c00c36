// Tests lib/proxy/server.ts and lib/proxy/trust.ts: certificates of the endpoint and of mirrors.

import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { RegistryServer } from "../../../lib/proxy/server.ts";
import { mayBePlain, MirrorClients } from "../../../lib/proxy/trust.ts";
import { Upstream, UpstreamError } from "../../../lib/proxy/upstream.ts";
import { type IssuedCertificate, makeAuthority } from "../../fakes/certificates.ts";
import { inTemporaryFolder } from "../../support/folder.ts";

const AUTHORITY = makeAuthority("gilly-test");
const NAMES = { dnsNames: ["localhost", "gcr.io"], ipAddresses: ["127.0.0.1"] };

async function write(folder: string, { certificatePem, keyPem }: IssuedCertificate): Promise<void> {
  await Deno.writeTextFile(`${folder}/proxy.key`, keyPem);
  await Deno.writeTextFile(`${folder}/proxy.crt`, certificatePem);
}

interface Bench {
  readonly folder: string;
  readonly server: RegistryServer;
  readonly heard: string[];
  /** Asks the server, trusting these certificates. */
  ask(...trusted: readonly string[]): Promise<string>;
}

function test(name: string, run: (bench: Bench) => Promise<void>): void {
  Deno.test(name, () =>
    inTemporaryFolder(async (folder) => {
      await write(folder, AUTHORITY.issueServer(NAMES));
      const heard: string[] = [];
      const server = await RegistryServer.open({
        listen: { hostname: "127.0.0.1", port: 0 },
        certFile: `${folder}/proxy.crt`,
        keyFile: `${folder}/proxy.key`,
        handle: (_, reply) => reply({ status: 200, headers: {}, body: "{}" }),
        observer: {
          certificateReplaced: (file) => void heard.push(`replaced ${file}`),
          certificateFailed: (error) => void heard.push(`failed ${error}`),
        },
        onEnd: () => {},
      });
      try {
        await run({ folder, server, heard, ask: (...trusted) => askTls(server.port, trusted) });
      } finally {
        await server.close();
      }
    }));
}

async function askTls(port: number, caCerts: readonly string[]): Promise<string> {
  const client = Deno.createHttpClient({ caCerts: [...caCerts], poolMaxIdlePerHost: 0 });
  try {
    return await (await fetch(`https://localhost:${port}/v2/`, { client })).text();
  } finally {
    client.close();
  }
}

test("the endpoint has the certificate of its files", async ({ ask }) => {
  assertEquals(await ask(AUTHORITY.certificatePem), "{}");
});

test("a renewed certificate is used, and no client is kept out meanwhile", async ({ folder, server, heard, ask }) => {
  const renewed = makeAuthority("renewed");
  const both = [AUTHORITY.certificatePem, renewed.certificatePem];
  const stop = new AbortController();
  let answers = 0;
  // A connection that was made at that instant and not yet accepted is reset by the kernel (Linux
  // before tcp_migrate_req, or without it); the next one is not.
  const askAgain = () =>
    ask(...both).catch((error) =>
      /Connection reset by peer/.test(error.message) ? ask(...both) : Promise.reject(error)
    );
  const asking = (async () => {
    for (; !stop.signal.aborted; answers++) assertEquals(await askAgain(), "{}");
  })();
  while (answers < 3) await ask(...both);
  await write(folder, renewed.issueServer(NAMES));
  await server.renew();
  const before = answers;
  while (answers < before + 3) await askAgain();
  stop.abort();
  await asking;
  assertEquals(heard, [`replaced ${folder}/proxy.crt`]);
  assertEquals(await ask(renewed.certificatePem), "{}");
  await assertRejects(() => ask(AUTHORITY.certificatePem), TypeError);
  await server.renew();
  assertEquals(heard.length, 1, "an unchanged file is no news");
});

test("a certificate that cannot be used leaves the old one in use", async ({ folder, server, heard, ask }) => {
  await Deno.writeTextFile(`${folder}/proxy.crt`, "not a certificate");
  await server.renew();
  await Deno.remove(`${folder}/proxy.key`);
  await server.renew();
  assertEquals(heard.length, 2);
  assertStringIncludes(heard[1]!, "gilly-redirect prepare makes it");
  assertEquals(await ask(AUTHORITY.certificatePem), "{}");
});

test("a second endpoint is refused the port", async ({ folder, server }) => {
  const second = RegistryServer.open({
    listen: { hostname: "127.0.0.1", port: server.port },
    certFile: `${folder}/proxy.crt`,
    keyFile: `${folder}/proxy.key`,
    handle: () => Promise.resolve(),
    observer: {},
    onEnd: () => {},
  });
  const sentence =
    `cannot listen on 127.0.0.1:${server.port}: another program has that port, run 'ss -tlnp' as root to see which`;
  await assertRejects(() => second, Error, sentence);
});

test("a mirror is trusted by the CAs that Docker has for it, as soon as they are there", async ({ folder, server }) => {
  const clock = { now: 0 };
  const clients = new MirrorClients(() => clock.now, [`${folder}/none`, `${folder}/certs.d`]);
  const upstream = new Upstream({ clients, headersTimeoutMs: 5000, now: () => clock.now });
  const mirror = `localhost:${server.port}`;
  const ask = async () => {
    const { signal } = new AbortController();
    const request = { mirror, repository: "app", resource: "manifests/1", method: "GET" } as const;
    return await (await upstream.request({ ...request, headers: {}, auth: undefined, signal })).text();
  };
  try {
    const error = await assertRejects(ask, UpstreamError, "UnknownIssuer");
    assertEquals(error.kind, "registry-down");
    await Deno.mkdir(`${folder}/certs.d/${mirror}`, { recursive: true });
    await Deno.writeTextFile(`${folder}/certs.d/${mirror}/ca.crt`, AUTHORITY.certificatePem);
    clock.now += 5000;
    assertEquals(await ask(), "{}");
  } finally {
    clients.close();
  }
});

Deno.test("plain HTTP is for mirrors on this host", () => {
  const plain = ["localhost", "localhost:5000", "127.0.0.1:5000", "127.8.9.1", "[::1]:5000"];
  const never = ["mirror.example", "10.0.0.1:5000", "127.0.0.1.example", "localhost.example"];
  assertEquals([plain.filter(mayBePlain), never.filter(mayBePlain)], [plain, []]);
});
