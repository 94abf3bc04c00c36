// The network of the runtimes, in a namespace of its own: names, certificates, an HTTP proxy and a
// plugin of the Engine.

import { type Authority, makeAuthority } from "../../fakes/certificates.ts";

/** The address of this host in the namespace; an Engine trusts any mirror at a loopback address. */
export const ADDRESS = "192.0.2.2";
/** Names below it are of ADDRESS and not reached by the proxy. */
export const DIRECT = "mirror.test";
/** Names below it are reached by the proxy only. */
export const PROXIED = "proxied.test";
/** The plugin that authorizes calls of the Engines. */
export const PLUGIN = "policy";

const PROXY_NAME = "proxy.test";
const PLUGINS = "/run/docker/plugins";

/** What surrounds the runtimes. */
export interface Network extends AsyncDisposable {
  /** Signs for the certificates that the runtimes trust. */
  readonly authority: Authority;
  /** The folder of its files. */
  readonly dir: string;
  /** Refuses connections to the proxy from now on. */
  stopProxy(): Promise<void>;
  /** Takes the proxy's name away. */
  forgetProxy(): void;
  /** Takes the plugin's socket away. */
  stopPlugin(): Promise<void>;
}

/** Starts it all, and sets the environment that the runtimes inherit. `trusted` are more PEM certificates. */
export async function startNetwork(dir: string, trusted: string): Promise<Network> {
  const authority = makeAuthority("mirror authority");
  await Deno.writeTextFile(`${dir}/trusted.pem`, `${authority.certificatePem}\n${trusted}`);
  const names = startNames();
  const proxy = startProxy();
  const plugin = await startPlugin();
  Deno.env.set("SSL_CERT_FILE", `${dir}/trusted.pem`);
  Deno.env.set("SSL_CERT_DIR", "/nonexistent");
  Deno.env.set("HTTPS_PROXY", `http://${PROXY_NAME}:${proxy.port}`);
  Deno.env.set("NO_PROXY", `.${DIRECT},.nowhere.test,192.0.2.0/24`);
  return {
    authority,
    dir,
    stopProxy: () => proxy.stop(),
    forgetProxy: () => names.forget(PROXY_NAME),
    stopPlugin: () => plugin.stop(),
    async [Symbol.asyncDispose]() {
      await Promise.all([proxy.stop(), plugin.stop()]);
      names.stop();
    },
  };
}

const NO_ERROR = 0;
const SERVER_FAILURE = 2;
const NO_SUCH_NAME = 3;

/** A name server (RFC 1035) at 127.0.0.1, which /etc/resolv.conf names. */
function startNames() {
  const socket = Deno.listenDatagram({ hostname: "127.0.0.1", port: 53, transport: "udp" });
  const forgotten = new Set<string>();
  const answer = (question: Uint8Array): Uint8Array => {
    const labels: string[] = [];
    let at = 12;
    while (question[at] !== 0) {
      const length = question[at]!;
      labels.push(new TextDecoder().decode(question.subarray(at + 1, at + 1 + length)));
      at += length + 1;
    }
    const name = labels.join(".").toLowerCase();
    const isAddress = question[at + 2] === 1;
    const isKnown = (name.endsWith(`.${DIRECT}`) || name === PROXY_NAME) && !forgotten.has(name);
    const code = name.startsWith("servfail.") ? SERVER_FAILURE : isKnown ? NO_ERROR : NO_SUCH_NAME;
    const has = isKnown && isAddress && code === NO_ERROR;
    const header = Uint8Array.of(question[0]!, question[1]!, 0x81, 0x80 | code, 0, 1, 0, has ? 1 : 0, 0, 0, 0, 0);
    const record = has ? [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ...ADDRESS.split(".").map(Number)] : [];
    return Uint8Array.from([...header, ...question.subarray(12, at + 5), ...record]);
  };
  void (async () => {
    for await (const [question, from] of socket) await socket.send(answer(question), from);
  })().catch(() => {});
  return { forget: (name: string) => void forgotten.add(name), stop: () => socket.close() };
}

/** What the proxy answers to CONNECT, by the first label of the name; `hang up` for others. */
const REFUSALS: Readonly<Record<string, string>> = {
  "wants-login": 'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="proxy"\r\n' +
    "Content-Length: 0\r\n\r\n",
  "forbids": "HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: 20\r\n\r\n<h1>Not allowed</h1>",
  "cannot-reach": "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
  "is-overloaded": "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
  "times-out": "HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\n\r\n",
};

function startProxy() {
  const listener = Deno.listen({ hostname: ADDRESS, port: 0 });
  const serve = async (client: Deno.Conn) => {
    const buffer = new Uint8Array(4096);
    const count = await client.read(buffer) ?? 0;
    const [, label = ""] = /^CONNECT ([^.:]*)/.exec(new TextDecoder().decode(buffer.subarray(0, count))) ?? [];
    const refusal = REFUSALS[label];
    if (refusal !== undefined) await client.write(new TextEncoder().encode(refusal));
    client.close();
  };
  const accepting = (async () => {
    for await (const client of listener) void serve(client).catch(() => {});
  })();
  let isStopped = false;
  return {
    port: (listener.addr as Deno.NetAddr).port,
    async stop() {
      if (isStopped) return;
      isStopped = true;
      listener.close();
      await accepting;
    },
  };
}

/**
 * Serves the plugin (moby, pkg/authorization/api.go): it denies pulls from `policy-denies.*`, fails for
 * `policy-fails.*`, and answers 500 for `policy-is-broken.*`.
 */
async function startPlugin() {
  const mounted = await new Deno.Command("sh", {
    args: ["-c", `mkdir -p /run/docker && mount -t tmpfs tmpfs /run/docker && mkdir ${PLUGINS}`],
  }).output();
  if (!mounted.success) throw new Error(new TextDecoder().decode(mounted.stderr));
  const end = new AbortController();
  const server = Deno.serve(
    { path: `${PLUGINS}/${PLUGIN}.sock`, signal: end.signal, onListen: () => {}, onError: () => new Response() },
    async (request) => {
      const { pathname } = new URL(request.url);
      const text = await request.text();
      if (pathname === "/Plugin.Activate") return Response.json({ Implements: ["authz"] });
      const uri = decodeURIComponent((JSON.parse(text) as { RequestUri?: string }).RequestUri ?? "");
      if (!pathname.endsWith("AuthZReq")) return Response.json({ Allow: true });
      if (uri.includes("policy-denies.")) {
        return Response.json({ Allow: false, Msg: "pulls of team/app are not allowed" });
      }
      if (uri.includes("policy-fails.")) return Response.json({ Allow: false, Err: "the policy cannot be read" });
      if (uri.includes("policy-is-broken.")) return new Response("not JSON", { status: 500 });
      return Response.json({ Allow: true });
    },
  );
  let stopped: Promise<void> | undefined;
  return {
    stop: () =>
      stopped ??= (async () => {
        end.abort();
        await server.finished;
        await Deno.remove(`${PLUGINS}/${PLUGIN}.sock`).catch(() => {});
      })(),
  };
}
