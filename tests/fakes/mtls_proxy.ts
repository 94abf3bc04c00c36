// TLS that requests client certificates, in front of a plain server on a Unix socket. It runs in
// Node: Deno's own servers cannot request them, and Deno's node:https ignores requestCert.

import { notOnPath } from "../support/programs.ts";
import type { IssuedCertificate } from "./certificates.ts";

export interface MtlsProxyOptions {
  readonly serverCertificate: IssuedCertificate;
  /** PEM of the authority whose client certificates are trusted. */
  readonly clientCa: string;
  /** Unix socket of the plain server behind the proxy. */
  readonly target: string;
  /**
   * Unix socket for clients without a trusted certificate. Without it they are refused in the
   * handshake; with it they are admitted, as with Go's RequestClientCert, which the kubelet uses.
   */
  readonly strangersTarget?: string | undefined;
}

export interface MtlsProxy {
  /** The port on 127.0.0.1. */
  readonly port: number;
  /** Serves another certificate to every connection made after the returned promise resolves. */
  useServerCertificate(certificate: IssuedCertificate): Promise<void>;
  /** Drops every connection and waits until the proxy has exited. */
  close(): Promise<void>;
}

/** Returns what this machine lacks for the proxy, in words. */
export function missingForMtls(): string[] {
  return notOnPath(["node"]).map((program) => `${program}, which can ask for client certificates`);
}

/** Starts a proxy on a free port. */
export async function startMtlsProxy({ serverCertificate, ...options }: MtlsProxyOptions): Promise<MtlsProxy> {
  const child = new Deno.Command("node", {
    args: [new URL("mtls_proxy.mjs", import.meta.url).pathname, JSON.stringify(options)],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const orders = child.stdin.getWriter();
  const answers = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const use = async ({ certificatePem, keyPem }: IssuedCertificate): Promise<{ readonly port: number }> => {
    await orders.write(new TextEncoder().encode(`${JSON.stringify({ cert: certificatePem, key: keyPem })}\n`));
    const { value } = await answers.read();
    if (value === undefined) throw new Error("the proxy ended; its error is above");
    return JSON.parse(value);
  };
  const { port } = await use(serverCertificate);
  return {
    port,
    useServerCertificate: async (certificate) => void await use(certificate),
    async close() {
      await orders.close();
      await answers.cancel();
      await child.status;
    },
  };
}
