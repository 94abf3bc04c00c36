// Run by Node, see mtls_proxy.ts: a TLS server that requests client certificates, in front of plain
// servers. Each input line is JSON with the serving certificate to use from then on; a line of
// output answers it. The process ends with its input.

import { constants } from "node:crypto";
import { connect } from "node:net";
import process from "node:process";
import { createInterface } from "node:readline";
import { createServer } from "node:tls";

const { clientCa, target, strangersTarget } = JSON.parse(process.argv[2]);

const server = createServer({
  ca: clientCa,
  requestCert: true,
  rejectUnauthorized: strangersTarget === undefined,
  allowHalfOpen: true,
  ALPNProtocols: ["http/1.1"],
  // A resumed session is neither asked for its certificate again nor shown a new serving
  // certificate.
  secureOptions: constants.SSL_OP_NO_TICKET,
}, (client) => {
  const upstream = connect({ path: client.authorized ? target : strangersTarget, allowHalfOpen: true });
  client.pipe(upstream).pipe(client);
  client.on("error", () => upstream.destroy());
  upstream.on("error", () => client.destroy());
  client.on("close", () => upstream.destroy());
  upstream.on("close", () => client.destroySoon());
});
server.on("tlsClientError", () => {});

for await (const line of createInterface({ input: process.stdin })) {
  const { cert, key } = JSON.parse(line);
  server.setSecureContext({ ca: clientCa, cert, key, secureOptions: constants.SSL_OP_NO_TICKET });
  if (!server.listening) await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  console.log(JSON.stringify({ port: server.address().port }));
}
process.exit();
