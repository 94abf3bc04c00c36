// The adapter for the kubelet: one request for the pods of this node, over TLS, with the
// credentials on disk at that moment. Returns the valid pods or throws one KubeletError, and never
// interprets a pod.

import { checkClientCertificate, mistakeInBlocks, plainPem } from "../support/certificates.ts";
import { describeError } from "../support/errors.ts";
import { fingerprintOf } from "../support/files.ts";
import { HttpError, readBody, send } from "../support/http/client.ts";
import { scrub, scrubError } from "../support/scrub.ts";
import { quote } from "../support/text.ts";
import { mistakeInToken, tokenIn } from "./bearer_token.ts";
import { KubeletError } from "./errors.ts";
import { type PodList, PodListError, readPodList } from "./pods.ts";
import { missingRight } from "./rights.ts";
import { AUTHORITYS_OWN, isAuthoritysOwn } from "./serving_certificate.ts";

/**
 * The kubelet's address and our credentials: paths of PEM files, or of a file that contains a
 * bearer token.
 */
export interface KubeletSettings {
  readonly url: string;
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
  readonly tokenFile?: string;
}

/**
 * Time limit for the headers, and again for the body; a working kubelet answers within a second.
 */
const ANSWER_TIMEOUT_MS = 20_000;

/**
 * A pod is 2 to 20 kB, so this is room for 10,000 of them. Reading an answer takes four to five
 * times as much memory, which fits within the unit's MemoryMax. A larger answer is an error, and
 * must not end the daemon.
 */
const ANSWER_LIMIT_BYTES = 96 * 1024 * 1024;

function adviceOn(status: number, said: string, settings: KubeletSettings): string | undefined {
  switch (status) {
    case 401:
      return adviceOn401(settings);
    case 403: {
      const right = missingRight(said) ?? "nodes/pods, or on nodes/proxy before Kubernetes 1.33";
      return `the kubelet accepts the credentials, but the user may not list pods: it needs get on ${right}`;
    }
    default:
      return undefined;
  }
}

/** The kubelet of one host. */
export class KubeletClient {
  readonly url: string;
  readonly #settings: KubeletSettings;
  readonly #timeoutMs: number;
  #client: Deno.HttpClient | undefined;
  #headers: Record<string, string> = {};
  /** Must not appear in any message, whatever its source: some servers echo the request. */
  #secrets: readonly string[] = [];
  /** The fingerprint of the credential files when #client was made. */
  #fingerprint: string | undefined;

  constructor(settings: KubeletSettings, timeoutMs = ANSWER_TIMEOUT_MS) {
    this.#settings = settings;
    this.#timeoutMs = timeoutMs;
    this.url = `${settings.url.replace(/\/+$/, "")}/pods`;
  }

  /** Returns the node's pods. Throws KubeletError, or the signal's reason. */
  async pods(signal: AbortSignal): Promise<PodList> {
    await this.#useCurrentCredentials();
    const response = await this.#request(signal);
    const body = await this.#read(response, signal);
    if (response.status !== 200) throw this.#refusal(response.status, body);
    try {
      return readPodList(JSON.parse(body));
    } catch (error) {
      if (error instanceof PodListError) throw this.#unexpected(error.message);
      const type = response.headers.get("content-type") ?? "no content type";
      throw this.#unexpected(`expected JSON, got ${body.length} characters of ${type}: ${this.#excerpt(body)}`, error);
    }
  }

  close(): void {
    this.#client?.close();
    this.#client = undefined;
    this.#fingerprint = undefined;
  }

  async #request(signal: AbortSignal): Promise<Response> {
    try {
      return await send({
        url: this.url,
        client: this.#client!,
        headers: { accept: "application/json", ...this.#headers },
        signal,
        headersTimeoutMs: this.#timeoutMs,
      });
    } catch (error) {
      throw this.#unreachable(error);
    }
  }

  async #read(response: Response, signal: AbortSignal): Promise<string> {
    try {
      const limits = { limit: ANSWER_LIMIT_BYTES, timeoutMs: this.#timeoutMs, signal };
      const bytes = await readBody(response, limits);
      const text = new TextDecoder().decode(bytes);
      // Freed immediately: the garbage collector does not know how much memory so small an object
      // holds.
      bytes.buffer.transfer(0);
      return text;
    } catch (error) {
      throw this.#unreachable(error);
    }
  }

  // Rotated certificates are picked up without a reload: checking the files costs less than a
  // request.
  async #useCurrentCredentials(): Promise<void> {
    const { caFile, certFile, keyFile, tokenFile } = this.#settings;
    try {
      const files = [caFile, certFile, keyFile, tokenFile].filter((file) => file !== undefined);
      const fingerprint = (await Promise.all(files.map(fingerprintOf))).join();
      if (this.#client !== undefined && fingerprint === this.#fingerprint) return;
      const [ca, cert, key, token] = await Promise.all([caFile, certFile, keyFile, tokenFile].map(readIfNamed));
      const damage = ca === undefined ? undefined : mistakeInBlocks(ca);
      if (damage !== undefined) throw new Error(`${caFile} is damaged: ${damage}`);
      if (cert !== undefined && key !== undefined) checkPair(certFile!, cert, keyFile!, key);
      const mistake = token === undefined ? undefined : mistakeInToken(token);
      if (mistake !== undefined) throw new Error(`${tokenFile} ${mistake}`);
      const client = makeClient(ca, cert, key);
      this.#client?.close();
      this.#client = client;
      this.#secrets = token === undefined ? [] : [tokenIn(token)];
      this.#headers = token === undefined ? {} : { authorization: `Bearer ${tokenIn(token)}` };
      this.#fingerprint = fingerprint;
    } catch (error) {
      // During a rotation, the certificate and key may not match yet; the previous credentials stay
      // in use.
      if (this.#client !== undefined) return;
      throw new KubeletError("credentials", `cannot use the credentials for ${this.url}`, error);
    }
  }

  // After a failure, reads the files again even if they look unchanged: two writes within one clock
  // tick look alike.
  #unreachable(error: unknown): unknown {
    if (!(error instanceof HttpError)) return error;
    this.#fingerprint = undefined;
    const why = isAuthoritysOwn(error.message) ? ` (its certificate ${AUTHORITYS_OWN})` : "";
    return new KubeletError("unreachable", `no answer from ${this.url}${why}`, error);
  }

  #refusal(status: number, body: string): KubeletError {
    const kind = status === 401 ? "unauthorized" : status === 403 ? "forbidden" : "unexpected";
    if (kind === "unauthorized") this.#fingerprint = undefined;
    const advice = adviceOn(status, body, this.#settings);
    const said = body.trim() === "" ? "" : `: ${this.#excerpt(body)}`;
    return new KubeletError(kind, `${this.url} answered ${status}${said}${advice === undefined ? "" : ` (${advice})`}`);
  }

  #unexpected(what: string, cause?: unknown): KubeletError {
    const message = `${this.url} answered 200, but not with pods: ${scrub(what, this.#secrets)}`;
    return new KubeletError("unexpected", message, scrubError(cause, this.#secrets));
  }

  #excerpt(body: string): string {
    return quote(scrub(body, this.#secrets).trim(), 120);
  }
}

function checkPair(certFile: string, cert: string, keyFile: string, key: string): void {
  try {
    checkClientCertificate(cert, key);
  } catch (error) {
    throw new Error(`${keyFile} cannot be used with ${certFile}: ${describeError(error)}`);
  }
}

function makeClient(ca: string | undefined, cert: string | undefined, key: string | undefined): Deno.HttpClient {
  try {
    // A certificate that rustls cannot read ends the process as one's own, and is an error as a CA.
    if (cert !== undefined) Deno.createHttpClient({ caCerts: [cert] }).close();
    return Deno.createHttpClient({
      ...(ca === undefined ? {} : { caCerts: [ca] }),
      ...(cert === undefined || key === undefined ? {} : { cert, key }),
    });
  } catch (error) {
    throw scrubError(error, [ca, cert, key].flatMap((pem) => pem?.split("\n") ?? []));
  }
}

function adviceOn401({ certFile, tokenFile }: KubeletSettings): string {
  if (tokenFile !== undefined) {
    return "the kubelet does not accept this token: check that kubelet.tokenFile has not expired, and that the " +
      "kubelet checks tokens (--authentication-token-webhook)";
  }
  return certFile === undefined
    ? "the kubelet requires credentials: configure kubelet.certFile and keyFile, or kubelet.tokenFile"
    : "the kubelet does not accept this certificate: check kubelet.certFile against the kubelet's client CA";
}

async function readIfNamed(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  try {
    return plainPem(await Deno.readTextFile(file));
  } catch (error) {
    throw new Error(`cannot read ${file}: ${describeError(error)}`);
  }
}
