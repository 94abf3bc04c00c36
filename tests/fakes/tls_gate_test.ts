import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { inTemporaryFolder } from "../support/folder.ts";
import { type IssuedCertificate, makeAuthority } from "./certificates.ts";
import { type HandshakeOutcome, startTlsGate, type TlsGate } from "./tls_gate.ts";

const authority = makeAuthority("clients");
const serverAuthority = makeAuthority("servers");
const serverCertificate = serverAuthority.issueServer({ dnsNames: ["localhost"], ipAddresses: ["127.0.0.1"] });
const known = authority.issueClient({ commonName: "gilly", organization: "workers" });
const HOUR_MS = 3_600_000;

const hasOpenssl = await new Deno.Command("openssl", { args: ["version"] }).output().then(() => true, () => false);

/** A gate in front of a server that says how much it was sent, or answers as much as the path asks for. */
async function withGate(test: (gate: TlsGate) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  const target = `${folder}/server.sock`;
  const server = Deno.serve({ path: target, onListen() {} }, async (request) => {
    const wanted = Number(new URL(request.url).pathname.slice(1));
    return new Response(wanted > 0 ? "x".repeat(wanted) : `got ${(await request.text()).length}`);
  });
  const gate = startTlsGate({ serverCertificate, clientCa: authority.certificatePem, target });
  try {
    await test(gate);
  } finally {
    await gate.close();
    await server.shutdown();
    await Deno.remove(folder, { recursive: true });
  }
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

async function request(
  url: string,
  client: IssuedCertificate | undefined,
  { trusted = serverAuthority.certificatePem, ...init }: RequestInit & { trusted?: string } = {},
): Promise<Answer> {
  using http = Deno.createHttpClient({
    caCerts: [trusted],
    ...(client ? { cert: client.certificatePem, key: client.keyPem } : {}),
  });
  const response = await fetch(url, { ...init, client: http });
  return { status: response.status, text: await response.text() };
}

async function assertRefused(client: IssuedCertificate | undefined, alert: string, inWords: string): Promise<void> {
  await withGate(async (gate) => {
    await assertRejects(() => request(`https://localhost:${gate.port}/`, client), TypeError, inWords);
    assertEquals(gate.handshakes.map(describe), [`refused ${alert}`]);
  });
}

function describe(handshake: HandshakeOutcome): string {
  if (handshake.outcome === "accepted") return `accepted ${handshake.commonName}`;
  return `${handshake.outcome} ${handshake.alert}`;
}

Deno.test("the gate lets a client of its authority through, by name and by address", async () => {
  await withGate(async (gate) => {
    assertEquals(await request(`https://localhost:${gate.port}/`, known), { status: 200, text: "got 0" });
    assertEquals(await request(`https://127.0.0.1:${gate.port}/`, known), { status: 200, text: "got 0" });
    assertEquals(gate.handshakes.map(describe), ["accepted gilly", "accepted gilly"]);
  });
});

Deno.test("the gate refuses a client without a certificate", () =>
  assertRefused(undefined, "certificate_required", "CertificateRequired"));

Deno.test("the gate refuses a client of a foreign authority", () =>
  assertRefused(makeAuthority("strangers").issueClient({ commonName: "gilly" }), "unknown_ca", "UnknownCA"));

Deno.test("the gate refuses a client of a foreign authority that bears the same name", () =>
  assertRefused(makeAuthority("clients").issueClient({ commonName: "gilly" }), "unknown_ca", "UnknownCA"));

Deno.test("the gate refuses a certificate that has expired", () => {
  const expired = authority.issueClient({ commonName: "gilly", notAfter: new Date(Date.now() - 1000) });
  return assertRefused(expired, "certificate_expired", "CertificateExpired");
});

Deno.test("the gate refuses a certificate that is not valid yet", () => {
  const early = authority.issueClient({ commonName: "gilly", notBefore: new Date(Date.now() + HOUR_MS) });
  return assertRefused(early, "certificate_expired", "CertificateExpired");
});

Deno.test("the gate refuses a certificate that is meant for servers", () => {
  const server = authority.issueServer({ dnsNames: ["localhost"] });
  return assertRefused(server, "unsupported_certificate", "UnsupportedCertificate");
});

Deno.test("5 MB come through the gate unharmed in both directions", async () => {
  await withGate(async (gate) => {
    const size = 5_000_000;
    const url = `https://localhost:${gate.port}/`;
    assertEquals((await request(url, known, { method: "POST", body: "x".repeat(size) })).text, `got ${size}`);
    assertEquals((await request(`${url}${size}`, known)).text, "x".repeat(size));
  });
});

Deno.test("the gate serves many clients at once, and one refusal does not disturb the others", async () => {
  await withGate(async (gate) => {
    const url = `https://localhost:${gate.port}/100000`;
    const clients = Array.from({ length: 12 }, (_, index) => index % 3 === 0 ? undefined : known);
    const results = await Promise.allSettled(clients.map((client) => request(url, client)));
    assertEquals(
      results.map((result) => result.status === "fulfilled" ? result.value.text.length : "refused"),
      clients.map((client) => client ? 100_000 : "refused"),
    );
  });
});

Deno.test("the gate serves a new certificate from the moment it is handed one", async () => {
  await withGate(async (gate) => {
    const next = makeAuthority("next servers");
    const trustsNext = () => request(`https://localhost:${gate.port}/`, known, { trusted: next.certificatePem });
    await assertRejects(trustsNext, TypeError, "UnknownIssuer");
    gate.useServerCertificate(next.issueServer({ dnsNames: ["localhost"] }));
    assertEquals((await trustsNext()).status, 200);
    assertEquals(gate.handshakes.map(describe), ["abandoned 48", "accepted gilly"]);
  });
});

Deno.test("the gate survives a peer that does not speak TLS", async () => {
  await withGate(async (gate) => {
    const peer = await Deno.connect({ port: gate.port });
    await peer.write(new TextEncoder().encode("GET /pods HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    const answer = new Uint8Array(7);
    await peer.read(answer);
    peer.close();
    assertEquals([answer[0], answer[5]], [21, 2]);
    assertEquals((await request(`https://localhost:${gate.port}/`, known)).status, 200);
  });
});

interface OpensslAnswer {
  readonly out: string;
  readonly errors: string;
}

async function openssl(args: string[], input = ""): Promise<OpensslAnswer> {
  const command = new Deno.Command("openssl", { args, stdin: "piped", stdout: "piped", stderr: "piped" });
  await using process = command.spawn();
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input)).catch(() => {});
  // Only the end of the answer ends the exchange: openssl leaves as soon as its input does.
  const [out, errors] = await Promise.all([process.stdout.text(), process.stderr.text()]);
  await writer.close().catch(() => {});
  return { out, errors };
}

/** One request by `openssl s_client`; the client's certificate and key are files in `folder`. */
async function requestByOpenssl(folder: string, gate: TlsGate, ...options: string[]): Promise<OpensslAnswer> {
  await Deno.writeTextFile(`${folder}/servers.pem`, serverAuthority.certificatePem);
  const identity = ["-cert", `${folder}/client.pem`, "-key", `${folder}/client.key`];
  const trust = ["-CAfile", `${folder}/servers.pem`, "-verify_return_error", "-verify_hostname", "localhost"];
  const connect = ["s_client", "-connect", `127.0.0.1:${gate.port}`, "-quiet"];
  return await openssl(
    [...connect, ...trust, ...identity, ...options],
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
  );
}

function withClientFiles(test: (folder: string) => Promise<void>): Promise<void> {
  return inTemporaryFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/client.pem`, known.certificatePem);
    await Deno.writeTextFile(`${folder}/client.key`, known.keyPem);
    await test(folder);
  });
}

for (
  const [sentence, ...options] of [
    ["with X25519", "-groups", "X25519"],
    ["with P-256", "-groups", "P-256"],
    ["asking again when it first guesses a group that the gate does not know", "-groups", "P-384:P-256"],
    ["and http/1.1 agreed on by ALPN", "-alpn", "h2,http/1.1"],
  ] as const
) {
  Deno.test({
    name: `openssl gets through the gate ${sentence}`,
    ignore: !hasOpenssl,
    fn: () =>
      withClientFiles((folder) =>
        withGate(async (gate) => {
          const { out, errors } = await requestByOpenssl(folder, gate, ...options);
          assertStringIncludes(out, "got 0", errors);
        })
      ),
  });
}

for (
  const [sentence, alert, ...options] of [
    ["that speaks only TLS 1.2", "protocol_version", "-tls1_2"],
    ["that knows no common group", "handshake_failure", "-groups", "P-384"],
    ["that knows no common cipher suite", "handshake_failure", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"],
    ["that wants another protocol", "no_application_protocol", "-alpn", "h2"],
  ] as const
) {
  Deno.test({
    name: `the gate refuses an openssl ${sentence}`,
    ignore: !hasOpenssl,
    fn: () =>
      withClientFiles((folder) =>
        withGate(async (gate) => {
          const { out, errors } = await requestByOpenssl(folder, gate, ...options);
          assertEquals(out, "", errors);
          assertEquals(gate.handshakes.map(describe), [`refused ${alert}`]);
        })
      ),
  });
}

Deno.test({
  name: "the gate knows a client that signs with RSA, and an authority that does",
  ignore: !hasOpenssl,
  fn: () =>
    withClientFiles(async (folder) => {
      const file = (name: string) => `${folder}/${name}`;
      const authority = ["-keyout", file("ca.key"), "-out", file("ca.pem"), "-subj", "/CN=rsa clients"];
      await openssl(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", ...authority]);
      const client = ["-keyout", file("client.key"), "-out", file("client.csr"), "-subj", "/CN=rsa client"];
      await openssl(["req", "-newkey", "rsa:2048", "-nodes", ...client]);
      const issuer = ["-CA", file("ca.pem"), "-CAkey", file("ca.key"), "-CAcreateserial", "-days", "1"];
      await openssl(["x509", "-req", "-in", file("client.csr"), "-out", file("client.pem"), ...issuer]);
      const target = file("server.sock");
      await using _server = Deno.serve({ path: target, onListen() {} }, () => new Response("welcome"));
      const gate = startTlsGate({ serverCertificate, clientCa: await Deno.readTextFile(file("ca.pem")), target });
      const { out, errors } = await requestByOpenssl(folder, gate);
      await gate.close();
      assertStringIncludes(out, "welcome", errors);
      assertEquals(gate.handshakes.map(describe), ["accepted rsa client"]);
    }),
});

Deno.test({
  name: "openssl finds nothing wrong with the certificates that are made here",
  ignore: !hasOpenssl,
  fn: () =>
    withClientFiles(async (folder) => {
      await Deno.writeTextFile(`${folder}/clients.pem`, authority.certificatePem);
      const verify = (purpose: string) =>
        openssl(["verify", "-purpose", purpose, "-CAfile", `${folder}/clients.pem`, `${folder}/client.pem`]);
      assertStringIncludes((await verify("sslclient")).out, "OK");
      assertStringIncludes((await verify("sslserver")).errors, "unsuitable certificate purpose");
    }),
});
