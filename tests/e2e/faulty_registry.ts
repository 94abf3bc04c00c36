// A registry that misbehaves on demand: a small proxy in front of a real one. Without a fault it
// only forwards.

/**
 * Answers a request in place of the registry. `forward` queries the registry itself, with another
 * path if one is given.
 */
export type Fault = (request: Request, forward: (path?: string) => Promise<Response>) => Promise<Response> | Response;

/** A running proxy. */
export interface FaultyRegistry {
  /** `127.0.0.1:PORT`, the host part of its references. */
  readonly host: string;
  /** What it does from now on instead of forwarding; undefined ends the fault. */
  fault: Fault | undefined;
  /** Methods and paths of the requests, oldest first. */
  readonly requests: readonly string[];
  /** Every Authorization header that it received. */
  readonly authorizations: ReadonlySet<string>;
  /** Stops it and ends every request that is still unanswered. */
  stop(): Promise<void>;
}

/** Starts a proxy on a loopback port in front of `target` (`127.0.0.1:PORT`). */
export function startFaultyRegistry(target: string, fault?: Fault): FaultyRegistry {
  const requests: string[] = [];
  const authorizations = new Set<string>();
  const end = new AbortController();
  const registry = { fault };
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, signal: end.signal, onListen: () => {}, onError: () => new Response() },
    async (request) => {
      const { pathname } = new URL(request.url);
      requests.push(`${request.method} ${pathname}`);
      const authorization = request.headers.get("Authorization");
      if (authorization !== null) authorizations.add(authorization);
      const forward = (path = pathname) => ask(target, request, path);
      if (registry.fault === undefined) return await forward();
      const given = Promise.resolve(registry.fault(request, forward));
      return await Promise.race([given, endOf(end.signal)]);
    },
  );
  return Object.assign(registry, {
    host: `127.0.0.1:${server.addr.port}`,
    requests,
    authorizations,
    async stop() {
      end.abort();
      await server.finished;
    },
  });
}

/**
 * Answers every request with this status. `say` becomes the message of a registry's JSON error;
 * without it the body is empty.
 */
export function answering(status: number, options: { say?: string; headers?: Record<string, string> } = {}): Fault {
  const body = options.say === undefined
    ? ""
    : JSON.stringify({ errors: [{ code: ERROR_CODES[status] ?? "UNKNOWN", message: options.say }] });
  const headers = { "Content-Type": "application/json", ...options.headers };
  return ({ method }) => new Response(method === "HEAD" ? null : body, { status, headers });
}

/** Error codes of the distribution specification, by status. */
const ERROR_CODES: Record<number, string> = {
  401: "UNAUTHORIZED",
  403: "DENIED",
  404: "MANIFEST_UNKNOWN",
  429: "TOOMANYREQUESTS",
};

/** Accepts every request and never answers. */
export const silent: Fault = ({ signal }) => endOf(signal);

/** Serves complete manifests but only the first half of each blob, then hangs up. */
export const torn: Fault = async ({ method, url }, forward) => {
  const whole = await forward();
  if (!url.includes("/blobs/") || method === "HEAD") return whole;
  const bytes = new Uint8Array(await whole.arrayBuffer());
  const half = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(bytes.subarray(0, bytes.byteLength / 2)),
    pull: (controller) => controller.error(new Error("torn on purpose")),
  });
  return new Response(half, { headers: { "Content-Length": String(bytes.byteLength) } });
};

/** Serves manifests as they are, and each blob with its last byte changed. */
export const corrupt: Fault = async ({ method, url }, forward) => {
  const whole = await forward();
  if (!url.includes("/blobs/") || method === "HEAD") return whole;
  const bytes = new Uint8Array(await whole.arrayBuffer());
  bytes[bytes.byteLength - 1]! ^= 0xff;
  return new Response(bytes, { status: whole.status, headers: whole.headers });
};

/** Answers a request for any manifest by digest with that of `tag`, under the requested digest. */
export function mistaking(tag: string): Fault {
  return async ({ method, url }, forward) => {
    const [, repository, digest] = /^(.*\/manifests\/)(sha256:[0-9a-f]{64})$/.exec(new URL(url).pathname) ?? [];
    if (repository === undefined || digest === undefined) return await forward();
    const other = await forward(`${repository}${tag}`);
    const headers = new Headers(other.headers);
    headers.set("Docker-Content-Digest", digest);
    return new Response(method === "HEAD" ? null : await other.arrayBuffer(), { headers });
  };
}

/**
 * Admits clients with a bearer token, which it issues in exchange for `identityToken`: the OAuth2
 * flow of Docker's registries (distribution, docs/spec/auth/oauth.md).
 */
export function askingForIdentity(identityToken: string): Fault {
  const accessToken = crypto.randomUUID();
  return async (request, forward) => {
    const { pathname, origin } = new URL(request.url);
    if (pathname === "/token") {
      const form = new URLSearchParams(await request.text());
      const isKnown = form.get("grant_type") === "refresh_token" && form.get("refresh_token") === identityToken;
      return isKnown
        ? Response.json({ access_token: accessToken, token: accessToken, expires_in: 300, scope: form.get("scope") })
        : Response.json({ errors: [{ code: "UNAUTHORIZED", message: "not the identity token" }] }, { status: 401 });
    }
    if (request.headers.get("Authorization") === `Bearer ${accessToken}`) return await forward();
    const challenge = `Bearer realm="${origin}/token",service="gilly",scope="repository:any:pull"`;
    return await answering(401, { say: "authentication required", headers: { "WWW-Authenticate": challenge } })(
      request,
      forward,
    );
  };
}

async function ask(target: string, { method, headers }: Request, path: string): Promise<Response> {
  const passed = ["Accept", "Authorization", "Range"].flatMap((name) => {
    const value = headers.get(name);
    return value === null ? [] : [[name, value] as [string, string]];
  });
  const answer = await fetch(`http://${target}${path}`, { method, headers: passed });
  const body = method === "HEAD" ? null : await answer.arrayBuffer();
  return new Response(body, { status: answer.status, headers: answer.headers });
}

async function endOf(signal: AbortSignal): Promise<never> {
  signal.throwIfAborted();
  return await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
}
