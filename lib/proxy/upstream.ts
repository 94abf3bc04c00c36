// One request to one mirror: its scheme, its authentication, its redirects, and its failures in the
// words of lib/images/registry.ts.

import type { RegistryAuth, RegistryError, RegistryFailure } from "../images/registry.ts";
import { describeError } from "../support/errors.ts";
import { HttpError, type HttpRequest, readBody, send } from "../support/http/client.ts";
import { isFields } from "../support/json.ts";
import { type AskForToken, Authorizations, withoutSecrets } from "./authorization.ts";
import { challengeIn } from "./challenge.ts";
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
      const header = await this.#answerTo(response, request);
      if (header === undefined) return await this.#served(request, response, known);
      await response.body?.cancel();
      const second = await this.#asked(request, header);
      if (second.status === 401) this.#authorizations.forget(mirror, repository);
      return await this.#served(request, second, header);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof UpstreamError) throw error;
      throw new UpstreamError(
        "registry-down",
        `${attemptOf(request)}: ${withoutSecrets(describeError(error), auth)}`,
      );
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
      if (hops === MOST_REDIRECTS) throw new HttpError(`more than ${MOST_REDIRECTS} redirects`);
      if (!URL.canParse(location, from)) throw new HttpError("a redirect without a usable location");
      const to = new URL(location, from);
      if (!(to.protocol === "https:" || (to.protocol === "http:" && from.protocol === "http:"))) {
        throw new HttpError(`a redirect from ${from.protocol} to ${to.protocol}`);
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
    { mirror, signal }: UpstreamRequest,
    url: string,
    headers: Readonly<Record<string, string>>,
    form: string | undefined,
  ): Promise<unknown> {
    const client = await this.#options.clients.of(mirror);
    const timeoutMs = this.#options.headersTimeoutMs;
    const asked: HttpRequest = { url, client, headers, signal, headersTimeoutMs: timeoutMs };
    const response = await send(form === undefined ? asked : { ...asked, method: "POST", body: form, headers: FORM });
    const text = new TextDecoder().decode(await readBody(response, { limit: TOKEN_LIMIT_BYTES, timeoutMs, signal }));
    // A refusal: the mirror's own 401 says more than the token server's.
    if (response.status !== 200) return undefined;
    return JSON.parse(text);
  }

  async #served(request: UpstreamRequest, response: Response, sent: string | undefined): Promise<Response> {
    if (response.status === 200 || response.status === 206 || response.status === 304) return response;
    const reason = await this.#reasonIn(response, request, sent);
    const text = `${attemptOf(request)}: answered ${response.status}${reason === "" ? "" : `, ${reason}`}`;
    throw new UpstreamError(
      kindOf(response.status),
      text,
      retryAfter(response.headers.get("retry-after"), this.#options.now()),
    );
  }

  async #reasonIn(response: Response, { signal, auth }: UpstreamRequest, sent: string | undefined): Promise<string> {
    try {
      const options = { limit: ERROR_LIMIT_BYTES, timeoutMs: this.#options.headersTimeoutMs, signal };
      const answer: unknown = JSON.parse(new TextDecoder().decode(await readBody(response, options)));
      const [first] = isFields(answer) && Array.isArray(answer.errors) ? answer.errors : [];
      const { code, message } = isFields(first) ? first : {};
      const text = [code, message].filter((it) => typeof it === "string" && it !== "").join(": ");
      return withoutSecrets(text, auth, sent).slice(0, LONGEST_REASON);
    } catch {
      signal.throwIfAborted();
      return "";
    }
  }
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

function kindOf(status: number): UpstreamFailure {
  if (status === 404) return "not-found";
  if (status === 401 || status === 403) return "denied";
  if (status === 429) return "rate-limited";
  return status >= 500 || status < 400 ? "registry-down" : "failed";
}

/** Seconds in a Retry-After header, which is a number or a date (RFC 9110, 10.2.3). */
function retryAfter(header: string | null, now: number): number | undefined {
  if (header === null) return undefined;
  if (/^\d{1,9}$/.test(header)) return Number(header);
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, Math.ceil((date - now) / 1000));
}
