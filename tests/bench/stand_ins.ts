// Fakes for measurements in which the real thing would cost more than Gilly itself: a kubelet that
// answers prepared bytes, a service manager that counts messages, and the config that names them.

import { stringify } from "@std/yaml";
import { makeAuthority } from "../fakes/certificates.ts";

/** A kubelet with a fixed answer, over TLS. */
export interface FixedKubelet extends AsyncDisposable {
  readonly url: string;
  /** PEM of the authority that signed its certificate. */
  readonly authorityPem: string;
  /** What it answers from now on. */
  answer: Uint8Array<ArrayBuffer>;
  /** Number of requests so far. */
  requests: number;
}

/** Starts a kubelet that answers every request with these bytes. */
export function startFixedKubelet(answer: Uint8Array<ArrayBuffer>): FixedKubelet {
  const authority = makeAuthority("bench");
  const { certificatePem: cert, keyPem: key } = authority.issueServer({ dnsNames: ["localhost"] });
  // Deno would compress a large body; a kubelet does not.
  const headers = { "content-type": "application/json", "cache-control": "no-transform" };
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, cert, key, onListen() {} }, () => {
    kubelet.requests++;
    return new Response(kubelet.answer, { headers });
  });
  const kubelet: FixedKubelet = {
    url: `https://localhost:${server.addr.port}`,
    authorityPem: authority.certificatePem,
    answer,
    requests: 0,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
  return kubelet;
}

/** A service manager's side of the notify socket. */
export interface ServiceManager extends Disposable {
  /** The environment for the service. */
  readonly env: Record<string, string>;
  /** `performance.now()` of the first READY=1. */
  readonly ready: Promise<number>;
  /** Number of messages so far. */
  messages: number;
}

/** Listens on a socket in `dir`, as systemd does for a unit with Type=notify. */
export function startServiceManager(dir: string): ServiceManager {
  const socket = Deno.listenDatagram({ transport: "unixpacket", path: `${dir}/systemd.sock` });
  const ready = Promise.withResolvers<number>();
  const manager: ServiceManager = {
    env: { NOTIFY_SOCKET: `${dir}/systemd.sock`, RUNTIME_DIRECTORY: dir },
    ready: ready.promise,
    messages: 0,
    [Symbol.dispose]: () => socket.close(),
  };
  const listen = async () => {
    for await (const [message] of socket) {
      if (new TextDecoder().decode(message).includes("READY=1")) ready.resolve(performance.now());
      manager.messages++;
    }
  };
  listen().catch(() => {});
  return manager;
}

/**
 * Writes a config with these keys for that kubelet and Engine socket to `dir`; returns its path.
 */
export async function writeConfig(
  dir: string,
  kubelet: Pick<FixedKubelet, "url" | "authorityPem">,
  socket: string,
  config: Record<string, unknown>,
): Promise<string> {
  const file = `${dir}/config.yaml`;
  await Deno.writeTextFile(`${dir}/ca.crt`, kubelet.authorityPem);
  await Deno.writeTextFile(`${dir}/token`, "a-token", { mode: 0o600 });
  const whole = {
    kubelet: { url: kubelet.url, caFile: `${dir}/ca.crt`, tokenFile: `${dir}/token` },
    docker: { socket },
    ledger: { file: `${dir}/ledger.jsonl` },
    ...config,
  };
  await Deno.writeTextFile(file, stringify(whole));
  return file;
}
