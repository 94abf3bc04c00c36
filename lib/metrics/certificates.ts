// When the certificates that the config names expire. They are read each time they are asked for, because whoever renews
// them tells nobody; a file that cannot be read right now is left out.

import { readCertificates } from "../support/certificates.ts";
import type { CertificateName } from "./metrics.ts";

/** The files of the kubelet's settings that hold certificates. */
export interface CertificateFiles {
  readonly caFile?: string;
  readonly certFile?: string;
}

/**
 * Seconds since the epoch at which each certificate expires. Our own fails with the first of its chain. Of several
 * authorities any one may be the right one, so only the end of the last is certain to be the end.
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
