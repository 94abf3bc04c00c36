// A TLS 1.3 gate that asks for client certificates, in front of a plain server on a unix socket: Deno's own servers
// cannot ask. A test tool on loopback: it really refuses, but is not hardened against hostile peers.

import { createPrivateKey } from "node:crypto";
import { certificatesOfPem, readCertificate } from "./certificate_reader.ts";
import type { IssuedCertificate } from "./certificates.ts";
import { acceptClient, answerPostHandshake, type HandshakePolicy, type ServerIdentity } from "./tls_handshake.ts";
import { ALERT, type AlertName, CONTENT, PeerGone, RecordStream, TlsAlert, writeAll } from "./tls_records.ts";

export interface TlsGateOptions {
  readonly serverCertificate: IssuedCertificate;
  /** PEM of the one authority whose clients are let in. */
  readonly clientCa: string;
  /** Unix socket of the plain server behind the gate. */
  readonly target: string;
  /**
   * Unix socket for clients without a trusted certificate. Without it they are refused in the handshake; with it the
   * gate asks and lets everybody in, as Go's RequestClientCert, which is what the kubelet uses.
   */
  readonly strangersTarget?: string | undefined;
  /** Port on 127.0.0.1; by default a free one. */
  readonly port?: number;
}

/** How one handshake ended. A refusal names the alert that was sent, an abandonment the number of the one received. */
export type HandshakeOutcome =
  | { readonly outcome: "accepted"; readonly trusted: boolean; readonly commonName: string | undefined }
  | { readonly outcome: "refused"; readonly alert: AlertName; readonly message: string }
  | { readonly outcome: "abandoned"; readonly alert: number | undefined };

export interface TlsGate {
  readonly port: number;
  /** Every handshake that ended, oldest first. */
  readonly handshakes: readonly HandshakeOutcome[];
  /** Serves another certificate to every connection that is made from now on. */
  useServerCertificate(certificate: IssuedCertificate): void;
  /** Stops listening, drops every connection and waits until all of them are gone. */
  close(): Promise<void>;
}

/** How long a peer may take to hang up after the last word, in milliseconds. */
const LINGER_MS = 1_000;

/** Opens the gate on 127.0.0.1. Throws a TypeError when a PEM text holds no certificate. */
export function startTlsGate(options: TlsGateOptions): TlsGate {
  const clientAuthority = readCertificate(firstCertificateOf(options.clientCa));
  const clientCertificates = options.strangersTarget === undefined ? "required" : "requested";
  let identity = identityOf(options.serverCertificate);
  const handshakes: HandshakeOutcome[] = [];
  const attended = new Map<Deno.Conn, Promise<void>>();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: options.port ?? 0 });

  const attend = async (connection: Deno.Conn): Promise<void> => {
    const records = new RecordStream(connection);
    const result = await shakeHands(records, { identity, clientAuthority, clientCertificates, now: new Date() });
    handshakes.push(result);
    if (result.outcome !== "accepted") return await hangUp(connection, drain(connection));
    await carry(connection, records, result.trusted ? options.target : options.strangersTarget ?? options.target);
  };
  const accepting = (async () => {
    for await (const connection of listener) {
      attended.set(connection, attend(connection).finally(() => attended.delete(connection)));
    }
  })();

  return {
    port: listener.addr.port,
    handshakes,
    useServerCertificate: (certificate) => void (identity = identityOf(certificate)),
    close: async () => {
      listener.close();
      await accepting;
      const rest = [...attended];
      for (const [connection] of rest) closeQuietly(connection);
      await Promise.all(rest.map(([, done]) => done));
    },
  };
}

async function shakeHands(records: RecordStream, policy: HandshakePolicy): Promise<HandshakeOutcome> {
  try {
    const client = await acceptClient(records, policy);
    return { outcome: "accepted", trusted: client !== undefined, commonName: client?.commonName };
  } catch (error) {
    const alert = alertFor(error);
    if (!alert) return { outcome: "abandoned", alert: error instanceof PeerGone ? error.alert : undefined };
    await sendAlert(records, alert.alert);
    return { outcome: "refused", alert: alert.alert, message: alert.message };
  }
}

/** Carries bytes both ways until both sides have ended. Never throws. */
async function carry(connection: Deno.Conn, records: RecordStream, path: string): Promise<void> {
  let upstream: Deno.Conn;
  try {
    upstream = await Deno.connect({ transport: "unix", path });
  } catch {
    return await hangUp(connection, drain(connection));
  }
  const inwards = carryInwards(records, upstream);
  await carryOutwards(upstream, records);
  await sendAlert(records, "close_notify");
  await hangUp(connection, inwards);
  closeQuietly(upstream);
}

async function carryInwards(records: RecordStream, upstream: Deno.Conn): Promise<void> {
  try {
    for (;;) {
      const { type, bytes } = await records.receive();
      if (type === CONTENT.applicationData) await writeAll(upstream, bytes);
      else if (type === CONTENT.handshake) await answerPostHandshake(records, bytes);
      else throw new TlsAlert("unexpected_message", `a record of type ${type}`);
    }
  } catch (error) {
    // After a proper close_notify the client may still want the rest of the answer; after anything else nobody does.
    if (error instanceof PeerGone && error.alert === ALERT.close_notify) {
      return await upstream.closeWrite().catch(() => {});
    }
    if (error instanceof TlsAlert) await sendAlert(records, error.alert);
    closeQuietly(upstream);
  }
}

async function carryOutwards(upstream: Deno.Conn, records: RecordStream): Promise<void> {
  const chunk = new Uint8Array(64 * 1024);
  try {
    for (let count = await upstream.read(chunk); count !== null; count = await upstream.read(chunk)) {
      await records.send(CONTENT.applicationData, chunk.subarray(0, count));
    }
  } catch {
    // Either side is gone: there is nobody left to carry for.
  }
}

/**
 * Ends the sending side, and drops the connection once `rest` has seen the peer's end. Dropping it at once would reset
 * it while the peer's bytes are unread, and the peer might never see the alert.
 */
async function hangUp(connection: Deno.Conn, rest: Promise<void>): Promise<void> {
  await connection.closeWrite().catch(() => {});
  const timer = setTimeout(() => closeQuietly(connection), LINGER_MS);
  await rest;
  clearTimeout(timer);
  closeQuietly(connection);
}

async function drain(connection: Deno.Conn): Promise<void> {
  const chunk = new Uint8Array(16 * 1024);
  try {
    while (await connection.read(chunk) !== null);
  } catch {
    // The peer reset the connection, or it took too long: both are ends.
  }
}

async function sendAlert(records: RecordStream, alert: AlertName): Promise<void> {
  const level = alert === "close_notify" ? 1 : 2;
  await records.send(CONTENT.alert, Uint8Array.of(level, ALERT[alert])).catch(() => {});
}

/** The alert that tells the peer of this failure; undefined when the peer is gone already. */
function alertFor(error: unknown): TlsAlert | undefined {
  if (error instanceof TlsAlert) return error;
  if (error instanceof RangeError) return new TlsAlert("decode_error", error.message, { cause: error });
  const isTransport = Object.values(Deno.errors).some((kind) => error instanceof kind);
  if (error instanceof PeerGone || isTransport) return undefined;
  return new TlsAlert("internal_error", String(error), { cause: error });
}

function identityOf(certificate: IssuedCertificate): ServerIdentity {
  firstCertificateOf(certificate.certificatePem);
  return {
    certificates: certificatesOfPem(certificate.certificatePem),
    key: createPrivateKey(certificate.keyPem),
  };
}

function firstCertificateOf(pem: string): Uint8Array {
  const [first] = certificatesOfPem(pem);
  if (!first) throw new TypeError("no PEM certificate in the given text");
  return first;
}

function closeQuietly(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // Closed already, by the peer's end or by the timer.
  }
}
