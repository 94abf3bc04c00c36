// Fakes of Docker and of the kubelet's credentials for a host without a worker.

import { makeAuthority } from "../fakes/certificates.ts";
import type { Host } from "./host.ts";

/** An Engine that closes every connection without an answer, so that calls fail at once. */
const HANGS_UP = 'open(S,"+<&=3"); close C while accept(C,S)';

/** Gives a host a Docker socket of this group, with no Engine behind it. */
export async function putDockerSocket(host: Host, group: string): Promise<void> {
  const socket = `[Socket]\nListenStream=/run/docker.sock\nSocketMode=0660\nSocketGroup=${group}\n`;
  await host.put("/run/systemd/system/docker.socket", socket);
  await host.put("/run/systemd/system/docker.service", `[Service]\nExecStart=/usr/bin/perl -e '${HANGS_UP}'\n`);
  await host.sh("systemctl daemon-reload && systemctl restart docker.socket");
}

/**
 * Puts a CA, a client certificate and its key into a folder of the host, named as in the example.
 */
export async function putCredentials(host: Host, folder = "/etc/gilly"): Promise<void> {
  const authority = makeAuthority("cluster");
  const { certificatePem, keyPem } = authority.issueClient({ commonName: "gilly" });
  await host.put(`${folder}/kubelet-ca.crt`, authority.certificatePem);
  await host.put(`${folder}/kubelet-client.crt`, certificatePem);
  await host.put(`${folder}/kubelet-client.key`, keyPem);
}
