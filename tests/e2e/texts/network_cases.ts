// Cases of the network: names, connections, TLS, and the runtime's HTTP proxy.

import { type IssuedCertificate, makeAuthority } from "../../fakes/certificates.ts";
import { startMtlsProxy } from "../../fakes/mtls_proxy.ts";
import { bare, type Bench, type Case, headersAlone, IMAGE, type Kind, type Scene } from "./case.ts";
import { wholeImage } from "./images.ts";
import { plain, silent, startMirror } from "./mirror.ts";
import { ADDRESS, DIRECT, type Network, PROXIED } from "./network.ts";
import { rawServer } from "./raw_server.ts";

/** A mirror with a name and a certificate. */
function tlsCase(
  name: string,
  certificate: (network: Network) => IssuedCertificate | Promise<IssuedCertificate>,
  kind: Kind = "registry-down",
): Case {
  return {
    name,
    kind,
    async open({ network }) {
      const mirror = startMirror(await wholeImage(name), {}, {
        hostname: ADDRESS,
        certificate: await certificate(network),
      });
      return sceneAt(mirror.port, () => mirror[Symbol.asyncDispose]());
    },
  };
}

function sceneAt(port: number, end: () => PromiseLike<void>, host = `app.${DIRECT}`): Scene {
  return { reference: `${host}:${port}/${IMAGE}`, [Symbol.asyncDispose]: end };
}

/** A scene of a server that does this with each connection, at a loopback address if `host` is one. */
function rawScene(serve: Parameters<typeof rawServer>[0], host = `app.${DIRECT}`): Scene {
  const server = rawServer(serve, host === "127.0.0.1" ? host : ADDRESS);
  return sceneAt(server.port, () => server[Symbol.asyncDispose](), host);
}

const ofMirror = { dnsNames: [`app.${DIRECT}`] };

const TLS: readonly Case[] = [
  tlsCase(
    "TLS with a certificate of the right authority",
    ({ authority }) => authority.issueServer(ofMirror),
    "pulled",
  ),
  tlsCase("TLS with a certificate of an unknown authority", () => makeAuthority("another").issueServer(ofMirror)),
  tlsCase(
    "TLS with an expired certificate",
    ({ authority }) => authority.issueServer({ ...ofMirror, notAfter: new Date("2026-01-01T00:00:00Z") }),
  ),
  tlsCase("TLS with a certificate that is not valid yet", ({ authority }) =>
    authority.issueServer({
      ...ofMirror,
      notBefore: new Date("2099-01-01T00:00:00Z"),
      notAfter: new Date("2099-02-01T00:00:00Z"),
    })),
  tlsCase(
    "TLS with a certificate of another name",
    ({ authority }) => authority.issueServer({ dnsNames: ["other.example"] }),
  ),
  tlsCase("TLS with a certificate that has a common name alone", ({ dir }) => commonNameAlone(dir)),
  {
    name: "TLS that wants a client certificate",
    kind: "registry-down",
    async open({ network }) {
      const proxy = await startMtlsProxy({
        serverCertificate: network.authority.issueServer(ofMirror),
        clientCa: network.authority.certificatePem,
        target: "/nonexistent",
      });
      const scene = rawScene(async (connection) => {
        const upstream = await Deno.connect({ port: proxy.port });
        await Promise.all([
          connection.readable.pipeTo(upstream.writable),
          upstream.readable.pipeTo(connection.writable),
        ]);
      });
      return {
        reference: scene.reference,
        async [Symbol.asyncDispose]() {
          await scene[Symbol.asyncDispose]();
          await proxy.close();
        },
      };
    },
  },
  {
    name: "HTTP where TLS is expected",
    kind: "registry-down",
    async open() {
      const mirror = startMirror(await wholeImage("HTTP"), {}, { hostname: ADDRESS });
      return sceneAt(mirror.port, () => mirror[Symbol.asyncDispose]());
    },
  },
  {
    name: "TLS where HTTP is expected, as a Go server answers",
    kind: "registry-down",
    except: headersAlone("registry-error"),
    async open() {
      const text = "Client sent an HTTP request to an HTTPS server.\n";
      const mirror = startMirror(await wholeImage("TLS"), { all: plain(400, text) });
      return sceneAt(mirror.port, () => mirror[Symbol.asyncDispose](), "127.0.0.1");
    },
  },
  {
    name: "a handshake that is cut off",
    kind: "registry-down",
    open: () => rawScene((connection) => connection.close()),
  },
  {
    name: "a handshake that is cut off after the greeting",
    kind: "registry-down",
    open: () =>
      rawScene(async (connection) => {
        await connection.read(new Uint8Array(4096));
        connection.close();
      }),
  },
  {
    name: "a handshake that is refused",
    kind: "registry-down",
    open: () =>
      rawScene(async (connection) => {
        await connection.read(new Uint8Array(4096));
        // The alert handshake_failure (RFC 8446, 6).
        await connection.write(Uint8Array.of(21, 3, 3, 0, 2, 2, 40));
        connection.close();
      }),
  },
  {
    name: "a server that speaks something else",
    kind: "registry-down",
    open: () => rawScene(async (connection) => void await connection.write(new TextEncoder().encode("SSH-2.0-x\r\n"))),
  },
];

/** The certificate that startNetwork trusts. */
async function commonNameAlone(dir: string): Promise<IssuedCertificate> {
  return {
    certificatePem: await Deno.readTextFile(`${dir}/common-name.crt`),
    keyPem: await Deno.readTextFile(`${dir}/common-name.key`),
  };
}

/** Makes a certificate as `openssl req -x509` does by itself. Returns it as PEM. */
export async function makeCommonNameAlone(dir: string): Promise<string> {
  const { success, stderr } = await new Deno.Command("openssl", {
    args: [
      ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", `/CN=app.${DIRECT}`, "-days", "30"],
      ...["-keyout", `${dir}/common-name.key`, "-out", `${dir}/common-name.crt`],
    ],
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return await Deno.readTextFile(`${dir}/common-name.crt`);
}

const CONNECTIONS: readonly Case[] = [
  { name: "a port that refuses connections", kind: "registry-down", open: () => bare(`app.${DIRECT}:1`) },
  { name: "a loopback port that refuses connections", kind: "registry-down", open: () => bare("127.0.0.1:1") },
  { name: "an unknown host", kind: "registry-down", open: () => bare("mirror.nowhere.test:5000") },
  { name: "a name server that fails", kind: "registry-down", open: () => bare("servfail.nowhere.test:5000") },
  { name: "a host that cannot be reached", kind: "registry-down", open: () => bare("192.0.2.77:5000") },
  {
    name: "a host that accepts and does not answer",
    kind: "registry-down",
    open: () => rawScene(() => {}),
  },
  {
    name: "a mirror that does not answer",
    kind: "registry-down",
    // containerd waits for as long as Gilly does.
    isFor: ({ name }) => name === "docker-20.10" || name === "docker-28",
    async open({ network }) {
      const mirror = startMirror(await wholeImage("silent"), { all: silent }, {
        hostname: ADDRESS,
        certificate: network.authority.issueServer(ofMirror),
      });
      return sceneAt(mirror.port, () => mirror[Symbol.asyncDispose]());
    },
  },
  {
    name: "a host that hangs up",
    kind: "registry-down",
    open: () =>
      rawScene(async (connection) => {
        await connection.read(new Uint8Array(4096));
        connection.close();
      }, "127.0.0.1"),
  },
];

function proxyCase(label: string, name: string, kind: Kind): Case {
  return { name, kind, open: () => bare(`${label}.${PROXIED}:5000`) };
}

const PROXY: readonly Case[] = [
  proxyCase("wants-login", "a proxy that answers 407", "proxy-refused"),
  proxyCase("forbids", "a proxy that answers 403", "proxy-refused"),
  proxyCase("cannot-reach", "a proxy that answers 502", "registry-down"),
  proxyCase("is-overloaded", "a proxy that answers 503", "registry-down"),
  proxyCase("times-out", "a proxy that answers 504", "registry-down"),
  proxyCase("hangs-up", "a proxy that hangs up", "registry-down"),
];

/** Cases of the network. */
export const NETWORK_CASES: readonly Case[] = [...TLS, ...CONNECTIONS, ...PROXY];

/** Cases that change the network for all; they run after the others, one after another. */
export const LAST_NETWORK_CASES: readonly Case[] = [
  {
    name: "a proxy that refuses connections",
    kind: "registry-down",
    async open({ network }: Bench) {
      await network.stopProxy();
      return bare(`app.${PROXIED}:5000`);
    },
  },
  {
    name: "a proxy of an unknown name",
    kind: "registry-down",
    open({ network }: Bench) {
      network.forgetProxy();
      return bare(`app.${PROXIED}:5000`);
    },
  },
];
