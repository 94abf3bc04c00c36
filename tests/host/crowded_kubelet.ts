// A kubelet with many pods, none of them broken, to measure what a pass over a big node costs.

import { makeAuthority } from "../fakes/certificates.ts";

/** A kubelet that answers every client; it ends when disposed. */
export interface CrowdedKubelet extends AsyncDisposable {
  readonly url: string;
  /** The CA that signed its certificate. */
  readonly caPem: string;
  /** The size of its answer. */
  readonly bytes: number;
  /** Resolves once it has received that many requests. */
  asked(times: number): Promise<void>;
}

/** Starts one with that many pods. */
export function startCrowdedKubelet(pods: number): CrowdedKubelet {
  const authority = makeAuthority("crowded");
  const { certificatePem: cert, keyPem: key } = authority.issueServer({ dnsNames: ["localhost"] });
  const items = Array.from({ length: pods }, (_, index) => podOfUsualSize(index));
  const body = new TextEncoder().encode(JSON.stringify({ kind: "PodList", apiVersion: "v1", items }));
  let requests = 0;
  let onRequest = () => {};
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, cert, key, onListen() {} }, () => {
    requests++;
    onRequest();
    return new Response(body, { headers: { "content-type": "application/json" } });
  });
  return {
    url: `https://localhost:${server.addr.port}`,
    caPem: authority.certificatePem,
    bytes: body.length,
    asked(times) {
      const { promise, resolve } = Promise.withResolvers<void>();
      onRequest = () => requests >= times && resolve();
      onRequest();
      return promise;
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** A running pod of about 8 kB, most of it fields that only the API server reads. */
function podOfUsualSize(index: number): unknown {
  const image = `gcr.io/acme/app:${index}`;
  const fields = Array.from(
    { length: 100 },
    (_, field) => [`f:field-${index}-${field}`, { "f:value": "of some length" }],
  );
  return {
    metadata: { name: `pod-${index}`, namespace: "default", managedFields: [Object.fromEntries(fields)] },
    spec: {
      containers: [{ name: "app", image, imagePullPolicy: "IfNotPresent", env: fields.map(([name]) => ({ name })) }],
    },
    status: { phase: "Running", containerStatuses: [{ name: "app", image, state: { running: {} } }] },
  };
}
