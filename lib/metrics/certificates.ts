// The expiry times of the certificates that the config names. They are read on every call, since no
// one announces a renewal; a file that cannot be read is left out.

import { readCertificates } from "../support/certificates.ts";
import type { CertificateName } from "./metrics.ts";

/** The files of the kubelet's settings that hold certificates. */
export interface CertificateFiles {
  readonly caFile?: string;
  readonly certFile?: string;
}

/**
 * Returns when each certificate expires, in seconds since the epoch. The client certificate expires
 * with the first of its chain. Any of several CAs may be the one in use, so they count as expired
 * only when the last one is.
 */
export async function certificateExpiries(files: CertificateFiles): Promise<ReadonlyMap<CertificateName, number>> {
  const own = await endsIn(files.certFile);
  const authorities = await endsIn(files.caFile);
  const expiries = new Map<CertificateName, number>();
  if (own.length > 0) expiries.set("kubelet-client", Math.min(...own) / 1000);
  if (authorities.length > 0) expiries.set("kubelet-ca", Math.max(...authorities) / 1000);
  return expiries;
}

async function endsIn(file: string | undefined): Promise<number[]> {
  if (file === undefined) return [];
  try {
    return readCertificates(await Deno.readTextFile(file)).map(({ notAfter }) => notAfter).filter(Number.isFinite);
  } catch {
    return [];
  }
}
