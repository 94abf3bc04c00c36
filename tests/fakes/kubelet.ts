// A fake kubelet: GET /pods over TLS with client certificates, and pods that advance on request
// only. It answers as a real kubelet does and, on request, as a broken one, a proxy or an unrelated
// server on that port would.

import type { IssuedCertificate } from "./certificates.ts";
import {
  type ContainerView,
  ModelPod,
  type NodeImages,
  type PodDescription,
  type RuntimeScheme,
} from "./kubelet_pods.ts";
import { startMtlsProxy } from "./mtls_proxy.ts";

export interface KubeletOptions {
  /** The kubelet's serving certificate; clients reach it as `localhost`. */
  readonly serverCertificate: IssuedCertificate;
  readonly pods?: readonly PodDescription[];
  /** The runtime that the ids of its containers name; Docker by default. */
  readonly runtime?: RuntimeScheme | undefined;
  /** The images on the node; by default there are none, and none can be pulled. */
  readonly images?: Partial<NodeImages>;
  /** Short for `images: { isPresent }`. */
  readonly isPresent?: NodeImages["isPresent"];
  /**
   * Accepts client certificates of the authority with this PEM; without it the kubelet requests no
   * client certificate. `request`, the default, is what a real kubelet does: TLS admits a client
   * without a trusted certificate, and it gets 401. `require` refuses it in the handshake.
   */
  readonly clientCertificates?: { readonly ca: string; readonly policy?: "request" | "require" };
  /** Bearer tokens that are accepted, also in place of a certificate. */
  readonly tokens?: readonly string[];
}

/** What to answer in place of the pods. Fields that are left out keep their usual value. */
export interface AnswerOverride {
  /** 401, 403 and 500 come with the kubelet's own text unless there is a body. */
  readonly status?: number;
  readonly body?: string | Uint8Array<ArrayBuffer> | (() => ReadableStream<Uint8Array>);
  /** By default application/json if `body` is set. */
  readonly contentType?: string;
  /** Drops the connection after the body instead of ending the answer. */
  readonly isBrokenOff?: boolean;
  /** Answers only once this has settled; `never` accepts the request and does not answer. */
  readonly after?: Promise<unknown> | "never";
}

/** One request as it arrived. */
export interface KubeletRequest {
  readonly method: string;
  readonly path: string;
  readonly identifiedBy: "certificate" | "token" | "nothing";
}

export interface FakeKubelet {
  /** `https://localhost:PORT` */
  readonly url: string;
  /** Every request that got through TLS, oldest first. */
  readonly requests: readonly KubeletRequest[];
  /** Resolves with request number `count` once it has arrived; by default the next request. */
  waitForRequest(count?: number): Promise<KubeletRequest>;
  addPod(pod: PodDescription): void;
  /** Adds an arbitrary value to the list of pods, unchanged. */
  addItem(item: unknown): void;
  /** Removes everything that `addItem` added. */
  removeItems(): void;
  /** Marks a pod as being deleted; it stays in the list. */
  deletePod(name: string, namespace?: string): void;
  /** Removes a pod from the list. */
  removePod(name: string, namespace?: string): void;
  /** Kills a running container; the next sync tries to start it again. */
  killContainer(pod: string, container: string, namespace?: string): void;
  /** Syncs every pod in turn, that many times. */
  advance(syncs?: number): Promise<void>;
  /** Syncs every pod at this interval, until closed. */
  advanceEvery(milliseconds: number): void;
  /** Returns every container, in the order of the pods. */
  containers(): ContainerView[];
  /** Overrides the answer for that many requests; by default until `answerAsUsual`. */
  answerWith(override: AnswerOverride, times?: number): void;
  answerAsUsual(): void;
  /**
   * Serves another certificate to new connections, as a rotation does; only with
   * `clientCertificates`.
   */
  useServerCertificate(certificate: IssuedCertificate): Promise<void>;
  close(): Promise<void>;
}

const USER = "user=gilly, verb=get, resource=nodes, subresource=proxy";
const WORDS: Readonly<Record<number, string>> = {
  401: "Unauthorized",
  403: `Forbidden (${USER})`,
  500: `Authorization error (${USER})`,
};

/** A TLS listener that hands requests to an answering function. */
interface Entrance {
  readonly port: number;
  useServerCertificate(certificate: IssuedCertificate): Promise<void>;
  close(): Promise<void>;
}

type Answering = (request: Request, hasCertificate: boolean) => Promise<Response>;

function openEntrance({ serverCertificate: { certificatePem, keyPem } }: KubeletOptions, answer: Answering): Entrance {
  const listen = { hostname: "127.0.0.1", port: 0, cert: certificatePem, key: keyPem, onListen() {} };
  const server = Deno.serve(listen, (request) => answer(request, false));
  return {
    port: server.addr.port,
    useServerCertificate: () => Promise.reject(new TypeError("this kubelet cannot change its certificate")),
    close: () => server.shutdown(),
  };
}

async function openAskingEntrance(
  { serverCertificate }: KubeletOptions,
  { ca, policy = "request" }: NonNullable<KubeletOptions["clientCertificates"]>,
  answer: Answering,
): Promise<Entrance> {
  const folder = await Deno.makeTempDir({ prefix: "kubelet-" });
  const serve = (name: string, hasCertificate: boolean) =>
    Deno.serve({ path: `${folder}/${name}`, onListen() {} }, (request) => answer(request, hasCertificate));
  const servers = [serve("known.sock", true), serve("strangers.sock", false)];
  const proxy = await startMtlsProxy({
    serverCertificate,
    clientCa: ca,
    target: `${folder}/known.sock`,
    strangersTarget: policy === "require" ? undefined : `${folder}/strangers.sock`,
  });
  return {
    ...proxy,
    async close() {
      await proxy.close();
      await Promise.all(servers.map((server) => server.shutdown()));
      await Deno.remove(folder, { recursive: true });
    },
  };
}

/** Starts a kubelet on a free port of 127.0.0.1. */
export async function startKubelet(options: KubeletOptions): Promise<FakeKubelet> {
  const node = new Node({
    isPresent: options.isPresent ?? (() => false),
    ...options.images,
  }, options.runtime);
  options.pods?.forEach((pod) => node.add(pod));
  const handler = new Handler(node, options.tokens ?? []);
  const answer: Answering = async (request, hasCertificate) => {
    const response = await handler.answer(request, hasCertificate);
    // Deno would compress a large body; a kubelet does not.
    response.headers.set("cache-control", "no-transform");
    return response;
  };
  const { clientCertificates } = options;
  const entrance = clientCertificates === undefined
    ? openEntrance(options, answer)
    : await openAskingEntrance(options, clientCertificates, answer);
  return {
    url: `https://localhost:${entrance.port}`,
    requests: handler.requests,
    waitForRequest: (count) => handler.waitFor(count ?? handler.requests.length + 1),
    addPod: (pod) => node.add(pod),
    addItem: (item) => node.items.push(item),
    removeItems: () => node.removeItems(),
    deletePod: (name, namespace) => node.find(name, namespace).markDeleted(new Date()),
    removePod: (name, namespace) => void node.items.splice(node.items.indexOf(node.find(name, namespace)), 1),
    killContainer: (pod, container, namespace) => node.find(pod, namespace).kill(container),
    advance: (syncs) => node.advance(syncs),
    advanceEvery: (milliseconds) => node.advanceEvery(milliseconds),
    containers: () => node.pods().flatMap((pod) => pod.views()),
    answerWith: (override, times) => handler.answerWith(override, times),
    answerAsUsual: () => handler.answerWith({}),
    useServerCertificate: (certificate) => entrance.useServerCertificate(certificate),
    close: async () => {
      await node.stop();
      handler.close();
      await entrance.close();
    },
  };
}

/** The pods of the node, and any other items listed among them. */
class Node {
  readonly items: unknown[] = [];
  readonly #images: NodeImages;
  readonly #runtime: RuntimeScheme | undefined;
  #timer: number | undefined;
  #advancing: Promise<void> = Promise.resolve();

  constructor(images: NodeImages, runtime: RuntimeScheme | undefined) {
    this.#images = images;
    this.#runtime = runtime;
  }

  add(pod: PodDescription): void {
    this.items.push(new ModelPod(pod, this.#runtime));
  }

  removeItems(): void {
    const pods = this.pods();
    this.items.splice(0, Infinity, ...pods);
  }

  pods(): ModelPod[] {
    return this.items.filter((item) => item instanceof ModelPod);
  }

  find(name: string, namespace = "default"): ModelPod {
    const found = this.pods().find((pod) => pod.name === name && pod.namespace === namespace);
    if (!found) throw new TypeError(`no pod ${namespace}/${name}`);
    return found;
  }

  /** Syncs never overlap: each waits for the syncs before it. */
  advance(syncs = 1): Promise<void> {
    this.#advancing = this.#advancing.then(async () => {
      for (let sync = 0; sync < syncs; sync++) for (const pod of this.pods()) await pod.sync(this.#images);
    });
    return this.#advancing;
  }

  advanceEvery(milliseconds: number): void {
    clearInterval(this.#timer);
    this.#timer = setInterval(() => void this.advance(), milliseconds);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#advancing;
  }
}

/** Records requests in the journal and answers them. */
class Handler {
  readonly requests: KubeletRequest[] = [];
  readonly #node: Node;
  readonly #tokens: readonly string[];
  readonly #closing = Promise.withResolvers<void>();
  #override: AnswerOverride = {};
  #times = 0;
  #waiting: { readonly count: number; readonly resolve: (request: KubeletRequest) => void }[] = [];

  constructor(node: Node, tokens: readonly string[]) {
    this.#node = node;
    this.#tokens = tokens;
  }

  answerWith(override: AnswerOverride, times = Infinity): void {
    this.#override = override;
    this.#times = times;
  }

  waitFor(count: number): Promise<KubeletRequest> {
    const there = this.requests[count - 1];
    if (there) return Promise.resolve(there);
    return new Promise((resolve) => this.#waiting.push({ count, resolve }));
  }

  close(): void {
    this.#closing.resolve();
  }

  async answer(request: Request, hasCertificate: boolean): Promise<Response> {
    const path = new URL(request.url).pathname;
    const identifiedBy = hasCertificate ? "certificate" : this.#hasToken(request) ? "token" : "nothing";
    this.#record({ method: request.method, path, identifiedBy });
    const override = this.#times-- > 0 ? this.#override : {};
    if (override.after !== undefined) {
      const gone = new Promise((resolve) => request.signal.addEventListener("abort", resolve, { once: true }));
      const due = override.after === "never" ? [] : [override.after.catch(() => {})];
      await Promise.race([gone, this.#closing.promise, ...due]);
    }
    const { status, body, isBrokenOff } = override;
    if (status !== undefined || body !== undefined || isBrokenOff) return overridden(override);
    if (identifiedBy === "nothing") return overridden({ status: 401 });
    return this.#asUsual(request.method, path);
  }

  #asUsual(method: string, path: string): Response {
    if (path === "/healthz") return new Response("ok");
    if (path !== "/pods" && path !== "/pods/") return new Response("404 page not found\n", { status: 404 });
    if (method !== "GET") return new Response("405: Method Not Allowed", { status: 405 });
    // A kubelet without pods answers null, not [].
    const items = this.#node.items.length === 0 ? null : this.#node.items;
    const body = JSON.stringify({ kind: "PodList", apiVersion: "v1", metadata: {}, items });
    return new Response(body, { headers: { "content-type": "application/json" } });
  }

  #hasToken(request: Request): boolean {
    const [scheme, token] = (request.headers.get("authorization") ?? "").split(" ");
    return scheme === "Bearer" && token !== undefined && this.#tokens.includes(token);
  }

  #record(request: KubeletRequest): void {
    this.requests.push(request);
    const due = this.#waiting.filter(({ count }) => count <= this.requests.length);
    this.#waiting = this.#waiting.filter(({ count }) => count > this.requests.length);
    for (const { count, resolve } of due) resolve(this.requests[count - 1]!);
  }
}

function overridden({ status = 200, body, contentType, isBrokenOff = false }: AnswerOverride): Response {
  const text = (typeof body === "function" ? body() : body) ?? WORDS[status] ?? "";
  const headers = {
    "content-type": contentType ?? (body === undefined ? "text/plain; charset=utf-8" : "application/json"),
  };
  if (!isBrokenOff || text instanceof ReadableStream) return new Response(text, { status, headers });
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  let isSent = bytes.length === 0;
  const stream = new ReadableStream({
    pull(controller) {
      if (isSent) controller.error(new Error("broken off on purpose"));
      else controller.enqueue(bytes);
      isSent = true;
    },
  });
  return new Response(stream, { status, headers });
}
