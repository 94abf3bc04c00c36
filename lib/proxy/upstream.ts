// One request to one mirror: its scheme, its authentication, its redirects, and its failures in the
// words of lib/images/registry.ts.

import type { RegistryAuth, RegistryError, RegistryFailure } from "../images/registry.ts";
import { describeError } from "../support/errors.ts";
import { HttpError, type HttpRequest, readBody, send } from "../support/http/client.ts";
import { type AskForToken, Authorizations, withoutSecrets } from "./authorization.ts";
import { challengeIn } from "./challenge.ts";
import { isPage, refusalIn } from "./protocol.ts";
import { mayBePlain, type MirrorClients } from "./trust.ts";

/**
 * Why a mirror did not serve a request: a registry's failure, or
 *
 * - `failed`: its answer concerns this request alone;
 * - `digest-changed`: what it has must not be served, see Veto.
 */
export type UpstreamFailure = RegistryFailure | "failed" | "digest-changed";

/** Thrown for a request that a mirror did not serve. The message says what was attempted, and why it failed. */
export class UpstreamError extends Error implements RegistryError {
  override name = "UpstreamError";
  readonly kind: UpstreamFailure;
  readonly retryAfterSeconds: number | undefined;

  constructor(kind: UpstreamFailure, message: string, retryAfterSeconds?: number) {
    super(message);
    this.kind = kind;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** One request. */
export interface UpstreamRequest {
  /** `host[:port]`. */
  readonly mirror: string;
  /** Path of the repository at the mirror. */
  readonly repository: string;
  /** `manifests/TAG`, `manifests/DIGEST` or `blobs/DIGEST`. */
  readonly resource: string;
  readonly method: "GET" | "HEAD";
  /** Accept, Range and so on; never Authorization. */
  readonly headers: Readonly<Record<string, string>>;
  readonly auth: RegistryAuth | undefined;
  readonly signal: AbortSignal;
}

/** Options of Upstream. */
export interface UpstreamOptions {
  readonly clients: MirrorClients;
  /** Milliseconds from a request to its headers, for each connection. */
  readonly headersTimeoutMs: number;
  readonly now: () => number;
}

const FORM = { "content-type": "application/x-www-form-urlencoded" };
const MOST_REDIRECTS = 5;
const TOKEN_LIMIT_BYTES = 1024 * 1024;
const ERROR_LIMIT_BYTES = 16 * 1024;
const LONGEST_REASON = 300;

/** A mirror asked for plain HTTP in answer to a TLS handshake (rustls, InvalidMessage). */
const NOT_TLS = /InvalidContentType|corrupt message/i;

/** All mirrors, with the tokens and schemes that were learned. */
export class Upstream {
  readonly #options: UpstreamOptions;
  readonly #authorizations: Authorizations;
  readonly #plain = new Set<string>();

  constructor(options: UpstreamOptions) {
    this.#options = options;
    this.#authorizations = new Authorizations(options.now);
  }

  /**
   * Returns the mirror's answer if it serves the request: status 200, 206 or 304. The caller reads
   * or cancels the body. Throws UpstreamError, or the signal's reason.
   */
  async request(request: UpstreamRequest): Promise<Response> {
    const { mirror, repository, auth, signal } = request;
    try {
      const known = this.#authorizations.current(mirror, repository, auth);
      const response = await this.#asked(request, known);
      if (response.status !== 401) return await this.#served(request, response, known);
      const header = await this.#answerTo(response, request).catch(async (error) => {
        await response.body?.cancel();
        throw error;
      });
      if (header === undefined) return await this.#served(request, response, known);
      await response.body?.cancel();
      const second = await this.#asked(request, header);
      if (second.status === 401) this.#authorizations.forget(mirror, repository);
      return await this.#served(request, second, header);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof UpstreamError) throw error;
      const text = withoutSecrets(describeError(error), auth);
      throw new UpstreamError(unreachedBy(text), `${attemptOf(request)}: ${text}`);
    }
  }

  /** Follows redirects; another host never gets the header Authorization. */
  async #asked(request: UpstreamRequest, authorization: string | undefined): Promise<Response> {
    const { repository, resource } = request;
    let response = await this.#sent(request, `/v2/${repository}/${resource}`, authorization);
    const first = new URL(response.url);
    let from = first;
    for (let hops = 0; isRedirect(response); hops++) {
      const location = response.headers.get("location")!;
      await response.body?.cancel();
      if (hops === MOST_REDIRECTS) throw misled(request, `more than ${MOST_REDIRECTS} redirects`);
      if (!URL.canParse(location, from)) throw misled(request, "a redirect without a usable location");
      const to = new URL(location, from);
      if (!(to.protocol === "https:" || (to.protocol === "http:" && from.protocol === "http:"))) {
        throw misled(request, `a redirect from ${from.protocol} to ${to.protocol}`);
      }
      const headers = to.origin === first.origin ? withAuthorization(request.headers, authorization) : request.headers;
      response = await this.#fetched(request, to.href, headers);
      from = to;
    }
    return response;
  }

  async #sent(request: UpstreamRequest, path: string, authorization: string | undefined): Promise<Response> {
    const { mirror } = request;
    const headers = withAuthorization(request.headers, authorization);
    if (this.#plain.has(mirror)) return await this.#fetched(request, `http://${mirror}${path}`, headers);
    try {
      return await this.#fetched(request, `https://${mirror}${path}`, headers);
    } catch (error) {
      request.signal.throwIfAborted();
      if (!mayBePlain(mirror) || !NOT_TLS.test(describeError(error))) throw error;
      const response = await this.#fetched(request, `http://${mirror}${path}`, headers);
      this.#plain.add(mirror);
      return response;
    }
  }

  async #fetched(
    { mirror, method, signal }: UpstreamRequest,
    url: string,
    headers: Readonly<Record<string, string>>,
  ): Promise<Response> {
    const client = await this.#options.clients.of(mirror);
    const { headersTimeoutMs } = this.#options;
    return await send({
      url,
      client,
      method,
      headers: { ...headers, "accept-encoding": "identity" },
      signal,
      headersTimeoutMs,
    });
  }

  async #answerTo(response: Response, request: UpstreamRequest): Promise<string | undefined> {
    const challenge = challengeIn(response.headers.get("www-authenticate") ?? "");
    if (challenge === undefined) return undefined;
    const isPlain = new URL(response.url).protocol === "http:";
    const ask: AskForToken = async ({ url, headers, form }) => {
      if (!isPlain && new URL(url).protocol !== "https:") {
        throw new HttpError(`a token server without TLS: ${new URL(url).host}`);
      }
      return await this.#token(request, url, headers, form);
    };
    return await this.#authorizations.answer(challenge, request, ask);
  }

  async #token(
    request: UpstreamRequest,
    url: string,
    headers: Readonly<Record<string, string>>,
    form: string | undefined,
  ): Promise<unknown> {
    const { mirror, signal } = request;
    const client = await this.#options.clients.of(mirror);
    const timeoutMs = this.#options.headersTimeoutMs;
    const asked: HttpRequest = { url, client, headers, signal, headersTimeoutMs: timeoutMs };
    const response = await send(form === undefined ? asked : { ...asked, method: "POST", body: form, headers: FORM });
    const text = new TextDecoder().decode(await readBody(response, { limit: TOKEN_LIMIT_BYTES, timeoutMs, signal }));
    const { status } = response;
    const isPageOf = isPage(response.headers.get("content-type") ?? "", text);
    const parsed = status === 200 && !isPageOf ? parsedOf(text) : undefined;
    if (parsed !== undefined) return parsed;
    // The mirror's own 401 says more than this refusal of the token server.
    if (!isPageOf && (status === 400 || status === 401 || status === 403)) return undefined;
    const { host, pathname } = new URL(url);
    const refusal = refusalIn({ ...refusalOf(response), body: text });
    // The query has the user's name.
    throw new UpstreamError(
      status === 200 || status === 404 ? "not-a-registry" : refusal.kind,
      `${attemptOf(request)}: its token server, ${host}${pathname}, answered ${status}${
        isPageOf ? ", a web page" : ""
      }`,
      retryAfter(response.headers.get("retry-after"), this.#options.now()),
    );
  }

  async #served(request: UpstreamRequest, response: Response, sent: string | undefined): Promise<Response> {
    const { status, headers } = response;
    const isServed = status === 200 || status === 206 || status === 304;
    if (isServed && (status === 304 || !isPage(headers.get("content-type") ?? ""))) return response;
    const body = request.method === "HEAD" ? undefined : await this.#beginningOf(response, request);
    if (body === undefined) await response.body?.cancel();
    const { kind, reason } = isServed
      ? { kind: "not-a-registry" as const, reason: "a web page" }
      : refusalIn({ ...refusalOf(response), body });
    const told = withoutSecrets(reason, request.auth, sent).slice(0, LONGEST_REASON);
    throw new UpstreamError(
      kind,
      `${attemptOf(request)}: answered ${status}${told === "" ? "" : `, ${told}`}`,
      retryAfter(headers.get("retry-after"), this.#options.now()),
    );
  }

  /** The body of a refusal, or an empty text if it is too long or cannot be read. */
  async #beginningOf(response: Response, { signal }: UpstreamRequest): Promise<string> {
    try {
      const options = { limit: ERROR_LIMIT_BYTES, timeoutMs: this.#options.headersTimeoutMs, signal };
      return new TextDecoder().decode(await readBody(response, options));
    } catch {
      signal.throwIfAborted();
      return "";
    }
  }
}

function refusalOf({ status, headers }: Response) {
  const type = headers.get("content-type") ?? "";
  return { status, type, asksForCredentials: headers.has("www-authenticate") };
}

/** The value in a JSON text, or undefined. */
function parsedOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Who failed a connection that did not come about or broke; a proxy's refusal is told by hyper-util's words. */
function unreachedBy(text: string): RegistryFailure {
  return /proxy authentication required|unsuccessful tunnel/i.test(text) ? "proxy-refused" : "registry-down";
}

/** A mirror whose redirects lead nowhere. */
function misled(request: UpstreamRequest, because: string): UpstreamError {
  return new UpstreamError("registry-error", `${attemptOf(request)}: ${because}`);
}

function attemptOf({ method, mirror, repository, resource }: UpstreamRequest): string {
  return `${method} ${mirror}/${repository} ${resource}`;
}

function withAuthorization(
  headers: Readonly<Record<string, string>>,
  authorization: string | undefined,
): Readonly<Record<string, string>> {
  return authorization === undefined ? headers : { ...headers, authorization };
}

function isRedirect({ status, headers }: Response): boolean {
  return [301, 302, 303, 307, 308].includes(status) && headers.has("location");
}

/** Seconds in a Retry-After header, which is a number or a date (RFC 9110, 10.2.3). */
function retryAfter(header: string | null, now: number): number | undefined {
  if (header === null) return undefined;
  if (/^\d{1,9}$/.test(header)) return Number(header);
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, Math.ceil((date - now) / 1000));
}
