// Asks the registry proxy over TLS, at an address, as the registry that it stands for.

import { describeError } from "../../support/errors.ts";
import { endsWithin } from "../../support/timeouts.ts";

/** Where to ask, and how. */
export interface Probe {
  readonly address: string;
  readonly port: number;
  /** The name for which the certificate must be good, and which is requested. */
  readonly host: string;
  readonly certificatePem: string;
}

const TIMEOUT_MS = 5000;

/** Returns why the proxy does not answer there, in words, or undefined if it does. Never throws. */
export async function silenceAt(probe: Probe): Promise<string | undefined> {
  const answer = answerAt(probe).then(
    (line) => line.startsWith("HTTP/1.1 200 ") ? undefined : wrong(line),
    describeError,
  );
  if (await endsWithin(TIMEOUT_MS, answer)) return await answer;
  return `no answer within ${TIMEOUT_MS / 1000} s`;
}

async function answerAt({ address, port, host, certificatePem }: Probe): Promise<string> {
  const plain = await Deno.connect({ hostname: address, port });
  using connection = await Deno.startTls(plain, { hostname: host, caCerts: [certificatePem] });
  const request = `GET /v2/ HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
  await connection.write(new TextEncoder().encode(request));
  const buffer = new Uint8Array(256);
  const length = await connection.read(buffer) ?? 0;
  return new TextDecoder().decode(buffer.subarray(0, length)).split("\r\n", 1)[0]!;
}

function wrong(line: string): string {
  return line === "" ? "it closed the connection" : `it answered ${line}`;
}
