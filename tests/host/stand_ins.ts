// What a host without a worker has in the place of Docker and of the kubelet's credentials.

import { makeAuthority } from "../fakes/certificates.ts";
import type { Host } from "./host.ts";

/** An Engine that is there and says nothing: whoever asks knows at once. */
const HANGS_UP = 'open(S,"+<&=3"); close C while accept(C,S)';

/** Gives a host a Docker socket of this group, with nobody behind it. */
export async function putDockerSocket(host: Host, group: string): Promise<void> {
  const socket = `[Socket]\nListenStream=/run/docker.sock\nSocketMode=0660\nSocketGroup=${group}\n`;
  await host.put("/run/systemd/system/docker.socket", socket);
  await host.put("/run/systemd/system/docker.service", `[Service]\nExecStart=/usr/bin/perl -e '${HANGS_UP}'\n`);
  await host.sh("systemctl daemon-reload && systemctl restart docker.socket");
}

/** Puts a client certificate, its key and an authority into a folder of the host, under the names of the example. */
export async function putCredentials(host: Host, folder = "/etc/gilly"): Promise<void> {
  const authority = makeAuthority("cluster");
  const { certificatePem, keyPem } = authority.issueClient({ commonName: "gilly" });
  await host.put(`${folder}/kubelet-ca.crt`, authority.certificatePem);
  await host.put(`${folder}/kubelet-client.crt`, certificatePem);
  await host.put(`${folder}/kubelet-client.key`, keyPem);
}
