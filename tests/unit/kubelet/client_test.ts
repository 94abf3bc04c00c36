import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { KubeletClient, type KubeletSettings } from "../../../lib/kubelet/client.ts";
import { KubeletError } from "../../../lib/kubelet/errors.ts";
import { describeError } from "../../../lib/support/errors.ts";
import { makeAuthority } from "../../fakes/certificates.ts";
import { type FakeKubelet, type KubeletOptions, startKubelet } from "../../fakes/kubelet.ts";
import { missingForMtls } from "../../fakes/mtls_proxy.ts";
import { testIfPossible } from "../../support/requirements.ts";

const authority = makeAuthority("tests");
const NEVER = new AbortController().signal;

interface Scene extends AsyncDisposable {
  readonly kubelet: FakeKubelet;
  readonly settings: KubeletSettings;
  readonly dir: string;
}

async function scene(options: Partial<KubeletOptions> = {}): Promise<Scene> {
  const dir = await Deno.makeTempDir();
  const client = authority.issueClient({ commonName: "gilly" });
  const settings = {
    caFile: `${dir}/ca.pem`,
    certFile: `${dir}/client.pem`,
    keyFile: `${dir}/client.key`,
  };
  await Deno.writeTextFile(settings.caFile, authority.certificatePem);
  await Deno.writeTextFile(settings.certFile, client.certificatePem);
  await Deno.writeTextFile(settings.keyFile, client.keyPem);
  const kubelet = await startKubelet({
    ...(options.tokens === undefined && { clientCertificates: { ca: authority.certificatePem } }),
    serverCertificate: authority.issueServer({ dnsNames: ["localhost"] }),
    pods: [{ name: "app", containers: [{ name: "app", image: "gcr.io/a/b:1" }] }],
    ...options,
  });
  return {
    kubelet,
    settings: { url: kubelet.url, ...settings },
    dir,
    async [Symbol.asyncDispose]() {
      await kubelet.close();
      await Deno.remove(dir, { recursive: true });
    },
  };
}

/** Registers a test whose kubelet asks for client certificates. */
function testWithCertificates(name: string, fn: () => Promise<void>): void {
  testIfPossible(name, missingForMtls(), fn);
}

async function ask(settings: KubeletSettings, timeoutMs?: number): Promise<string[]> {
  const client = new KubeletClient(settings, timeoutMs);
  try {
    return (await client.pods(NEVER)).pods.map((pod) => pod.name);
  } finally {
    client.close();
  }
}

testWithCertificates("the client gets the pods with a certificate", async () => {
  await using it = await scene({ clientCertificates: { ca: authority.certificatePem, policy: "require" } });
  assertEquals(await ask(it.settings), ["app"]);
  assertEquals(it.kubelet.requests.map(({ path, identifiedBy }) => [path, identifiedBy]), [["/pods", "certificate"]]);
});

Deno.test("the client gets the pods with a token whose file ends in a newline", async () => {
  await using it = await scene({ tokens: ["secret-token"] });
  await Deno.writeTextFile(`${it.dir}/token`, "secret-token\n");
  const { url, caFile } = it.settings;
  assertEquals(await ask({ url, caFile: caFile!, tokenFile: `${it.dir}/token` }), ["app"]);
});

Deno.test("a token that the kubelet does not accept is not blamed on a certificate", async () => {
  await using it = await scene({ tokens: ["another-token"] });
  await Deno.writeTextFile(`${it.dir}/token`, "secret-token\n");
  const { url, caFile } = it.settings;
  const error = await assertRejects(
    () => ask({ url, caFile: caFile!, tokenFile: `${it.dir}/token` }),
    KubeletError,
    "does not accept this token: check that kubelet.tokenFile has not expired",
  );
  assertEquals([error.kind, error.message.includes("certFile")], ["unauthorized", false]);
});

Deno.test("an error never contains a token that the kubelet echoes", async () => {
  await using it = await scene({ tokens: ["secret-token"] });
  await Deno.writeTextFile(`${it.dir}/token`, "secret-token\n");
  const { url, caFile } = it.settings;
  const settings = { url, caFile: caFile!, tokenFile: `${it.dir}/token` };
  const answers = [
    { status: 400, body: "authorization: Bearer secret-token" },
    { body: "secret-token is no JSON" },
    { body: '{"kind":"secret-token"}' },
  ];
  for (const answer of answers) {
    it.kubelet.answerWith(answer, 1);
    const text = describeError(await assertRejects(() => ask(settings), KubeletError, "…"));
    assertEquals(text.includes("secret-token"), false, text);
  }
});

Deno.test("a token that is not valid in a header is refused, and an earlier valid one stays in use", async () => {
  await using it = await scene({ tokens: ["secret-token"] });
  const { url, caFile } = it.settings;
  const client = new KubeletClient({ url, caFile: caFile!, tokenFile: `${it.dir}/token` });
  await Deno.writeTextFile(`${it.dir}/token`, "secret-token\0");
  const error = await assertRejects(() => client.pods(NEVER), KubeletError, "cannot use the credentials");
  assertEquals(error.kind, "credentials");
  assertEquals(
    describeError(error.cause),
    `${it.dir}/token contains NUL characters, as UTF-16 and padding do; expected only a token, in ASCII`,
  );
  await Deno.writeTextFile(`${it.dir}/token`, "secret-token");
  assertEquals((await client.pods(NEVER)).pods.length, 1);
  await Deno.writeTextFile(`${it.dir}/token`, "secret-token, and \0 more");
  assertEquals((await client.pods(NEVER)).pods.length, 1);
  client.close();
});

testWithCertificates("a kubelet whose certificate is from another CA is not trusted", async () => {
  await using it = await scene({ serverCertificate: makeAuthority("other").issueServer({ dnsNames: ["localhost"] }) });
  const error = await assertRejects(() => ask(it.settings), KubeletError, "no answer from");
  assertEquals(error.kind, "unreachable");
  assertStringIncludes(String((error.cause as Error).message), "certificate");
});

const ANSWERS = [
  ["401", { status: 401 }, "unauthorized", "does not accept this certificate: check kubelet.certFile"],
  ["403", { status: 403 }, "forbidden", "it needs get on nodes/proxy)"],
  [
    "403 from Kubernetes 1.33",
    { status: 403, body: "Forbidden (user=gilly, verb=get, resource=nodes, subresource(s)=[pods proxy])\n" },
    "forbidden",
    "it needs get on nodes/pods)",
  ],
  [
    "403 from a proxy",
    { status: 403, body: "no" },
    "forbidden",
    "nodes/pods, or on nodes/proxy before Kubernetes 1.33)",
  ],
  ["500", { status: 500 }, "unexpected", "answered 500"],
  ["a redirect", { status: 301, body: "" }, "unexpected", "answered 301"],
  ["HTML", { body: "<html>hello</html>", contentType: "text/html" }, "unexpected", "of text/html"],
  ["truncated JSON", { body: '{"kind":"PodList","items":[' }, "unexpected", "expected JSON"],
  ["no pods", { body: '{"kind":"Status"}' }, "unexpected", 'got kind "Status"'],
  ["nothing", { body: "" }, "unexpected", "expected JSON"],
  ["with a broken connection", { body: '{"kind":"Pod', isBrokenOff: true }, "unreachable", "no answer from"],
] as const;
for (const [what, answer, kind, message] of ANSWERS) {
  testWithCertificates(
    `a kubelet that answers ${what} causes an error that says so, and the next answer is used`,
    async () => {
      await using it = await scene();
      const client = new KubeletClient(it.settings);
      it.kubelet.answerWith(answer);
      const error = await assertRejects(() => client.pods(NEVER), KubeletError, message);
      assertEquals(error.kind, kind);
      it.kubelet.answerAsUsual();
      assertEquals((await client.pods(NEVER)).pods.length, 1);
      client.close();
    },
  );
}

testWithCertificates("a request that gets no answer fails after the deadline", async () => {
  await using it = await scene();
  it.kubelet.answerWith({ after: "never" });
  const error = await assertRejects(() => ask(it.settings, 100), KubeletError, "no answer from");
  assertStringIncludes(String((error.cause as Error).message), "within 0.1 s");
});

testWithCertificates("a refused connection is an error that names the URL and the cause", async () => {
  await using it = await scene();
  const url = "https://localhost:1";
  const error = await assertRejects(() => ask({ ...it.settings, url }), KubeletError, url);
  assertStringIncludes(String((error.cause as Error).message).toLowerCase(), "connection refused");
});

testWithCertificates("a client certificate that is replaced on disk is used for the next request", async () => {
  await using it = await scene({ clientCertificates: { ca: authority.certificatePem, policy: "require" } });
  const expired = authority.issueClient({
    commonName: "gilly",
    notBefore: new Date("2020-01-01"),
    notAfter: new Date("2020-01-02"),
  });
  const good = await Deno.readTextFile(it.settings.certFile!);
  const goodKey = await Deno.readTextFile(it.settings.keyFile!);
  await Deno.writeTextFile(it.settings.certFile!, expired.certificatePem);
  await Deno.writeTextFile(it.settings.keyFile!, expired.keyPem);
  const client = new KubeletClient(it.settings);
  await assertRejects(() => client.pods(NEVER), KubeletError);
  await Deno.writeTextFile(it.settings.certFile!, good);
  await Deno.writeTextFile(it.settings.keyFile!, goodKey);
  assertEquals((await client.pods(NEVER)).pods.length, 1);
  client.close();
});

testWithCertificates("a half-finished rotation keeps the old certificate in use", async () => {
  await using it = await scene({ clientCertificates: { ca: authority.certificatePem, policy: "require" } });
  const client = new KubeletClient(it.settings);
  await client.pods(NEVER);
  await Deno.writeTextFile(it.settings.certFile!, "-----BEGIN CERT");
  assertEquals((await client.pods(NEVER)).pods.length, 1);
  client.close();
});

testWithCertificates("a kubelet with a new serving certificate from the same CA is trusted", async () => {
  await using it = await scene();
  const client = new KubeletClient(it.settings);
  await client.pods(NEVER);
  await it.kubelet.useServerCertificate(authority.issueServer({ dnsNames: ["localhost"] }));
  assertEquals((await client.pods(NEVER)).pods.length, 1);
  client.close();
});

testWithCertificates("a key that cannot be parsed is an error that does not contain the key", async () => {
  await using it = await scene();
  await Deno.writeTextFile(it.settings.keyFile!, "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n");
  const error = await assertRejects(() => ask(it.settings), KubeletError, "cannot use the credentials");
  assertEquals(error.kind, "credentials");
  assert(!describeError(error).includes("c2VjcmV0"));
  assertStringIncludes(describeError(error), "the private key cannot be parsed");
});

testWithCertificates("a certificate in which a byte was damaged is an error and does not end the process", async () => {
  await using it = await scene();
  const [, body = ""] = /-----BEGIN CERTIFICATE-----\n([^-]+)/.exec(await Deno.readTextFile(it.settings.certFile!)) ??
    [];
  const der = Uint8Array.from(atob(body.replace(/\s/g, "")), (character) => character.charCodeAt(0));
  // The second time that the algorithm of the signature is named: 1.2.840.10045.4.3.2 is then another.
  const at = [...der].findLastIndex((_, index) =>
    der[index] === 0x04 && der[index + 1] === 0x03 && der[index + 2] === 0x02
  );
  der[at + 1] = 0x04;
  const damaged = btoa(String.fromCharCode(...der)).replace(/.{64}/g, "$&\n");
  await Deno.writeTextFile(
    it.settings.certFile!,
    `-----BEGIN CERTIFICATE-----\n${damaged}\n-----END CERTIFICATE-----\n`,
  );
  const error = await assertRejects(() => ask(it.settings), KubeletError, "cannot use the credentials");
  assertEquals(error.kind, "credentials");
});

testWithCertificates("the file and the block of a damaged bundle are named", async () => {
  await using it = await scene();
  const bundle = await Deno.readTextFile(it.settings.caFile!);
  await Deno.writeTextFile(it.settings.caFile!, `${bundle}${bundle.slice(0, -30)}`);
  const text = describeError(await assertRejects(() => ask(it.settings), KubeletError));
  const line = bundle.split("\n").length;
  assertStringIncludes(text, `${it.settings.caFile} is damaged: its CERTIFICATE block at line ${line} is incomplete`);
});

testWithCertificates("byte order marks in the files are ignored", async () => {
  await using it = await scene();
  for (const file of [it.settings.caFile!, it.settings.certFile!, it.settings.keyFile!]) {
    await Deno.writeTextFile(file, `\ufeff${await Deno.readTextFile(file)}`);
  }
  assertEquals(await ask(it.settings), ["app"]);
});

testWithCertificates("a key for another certificate is an error and does not end the process", async () => {
  await using it = await scene();
  await Deno.writeTextFile(it.settings.keyFile!, authority.issueClient({ commonName: "other" }).keyPem);
  const error = await assertRejects(() => ask(it.settings), KubeletError);
  assertStringIncludes(describeError(error), "the key does not belong to the certificate");
});

testWithCertificates("the stop signal ends a request with the signal's reason", async () => {
  await using it = await scene();
  it.kubelet.answerWith({ after: "never" });
  const client = new KubeletClient(it.settings);
  const stop = new AbortController();
  const ending = assertRejects(() => client.pods(stop.signal), Error, "bye");
  await it.kubelet.waitForRequest();
  stop.abort(new Error("bye"));
  await ending;
  client.close();
});
