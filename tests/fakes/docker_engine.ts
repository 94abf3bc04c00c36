// A strict fake of a Docker Engine on a Unix socket, with registries that it pulls from. It records
// calls in a journal and answers 404 to a call that no route expects. Messages and statuses are
// those of Engine 20.10.
import { CallGates, type Gate } from "./call_gates.ts";
import { CallWaiters } from "./call_waiters.ts";
import { type EngineBuild, infoOf, inspectAnswer, tagAnswer, versionRefusal } from "./engine_answers.ts";
import { EventStreams } from "./engine_events.ts";
import { askRegistry, message } from "./engine_registries.ts";
import { type FakeImage, type FakeReference, ImageStore, parseFakeReference } from "./image_store.ts";
import { aborted, type HoldPoint, PullHolds } from "./pull_holds.ts";
import { PullScript } from "./pull_script.ts";
import type { FakeRegistry } from "./registries.ts";
import { SocketServer } from "./socket_server.ts";
export { type FakeImage, fakeImage } from "./image_store.ts";
export type { FakeRegistry, RegistryState } from "./registries.ts";

/** One call as it arrived. */
export interface EngineCall {
  readonly method: string;
  /** Path without the version, percent-decoded. */
  readonly path: string;
  /** Version in the path, such as `1.41`; empty without one. */
  readonly version: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
  /** Status of the answer; unset until there is one. */
  status?: number;
  /** How the call ended: with a complete answer, or cut off by the client or the Engine. */
  ended?: "complete" | "aborted";
}

/** Options of the fake; the defaults are those of Engine 20.10. */
export interface FakeEngineOptions extends EngineBuild {
  readonly socket: string;
  readonly registries?: Record<string, FakeRegistry>;
  /** Milliseconds between two lines of a slow registry; 20 by default. */
  readonly stepMs?: number;
  /** Number of calls that the journal keeps, the newest ones; 10000 by default. */
  readonly journalLimit?: number;
}

/**
 * Answers a call in place of the Engine, for faults and extra routes; undefined leaves it alone.
 */
export type Intercept = (call: EngineCall, request: Request) => Response | undefined | Promise<Response | undefined>;

/** Starts a fake Engine that listens on `socket`. */
export async function startDockerEngine(options: FakeEngineOptions): Promise<FakeDockerEngine> {
  const engine = new FakeDockerEngine(options);
  await engine.start();
  return engine;
}

const VERSIONED = /^\/v(\d+\.\d+)(\/.*)$/;

/** The fake Engine; made by startDockerEngine. */
export class FakeDockerEngine {
  readonly socket: string;
  /** host -> registry. The name of any other host does not resolve. Mutable while running. */
  readonly registries: Record<string, FakeRegistry>;
  /** The calls, in order of arrival. */
  readonly journal: EngineCall[] = [];
  /** Calls that no route expected, as `METHOD /path?query`; normally empty at the end of a test. */
  readonly unexpected: string[] = [];
  /** Number of calls since the start, including those no longer in the journal. */
  calls = 0;
  /** The event streams of the clients; tests may send events too. */
  readonly events = new EventStreams();
  /** The highest number of pulls that ran at once. */
  mostPulling = 0;
  intercept: Intercept | undefined;
  /**
   * Called with every call as it arrives; the answer waits until the returned promise resolves.
   * `ended` resolves when the call ends.
   */
  watch: ((call: EngineCall, ended: Promise<void>) => Promise<void>) | undefined;
  /** Hold any call; `hold` also holds pulls at points of their own. */
  readonly gates = new CallGates<EngineCall>();

  #options: FakeEngineOptions;
  readonly #store: ImageStore;
  readonly #layers = new Set<string>();
  readonly #pulling = new Set<EngineCall>();
  readonly #holds = new PullHolds();
  readonly #waiters = new CallWaiters<EngineCall>(this.journal);
  readonly #server: SocketServer;

  constructor(options: FakeEngineOptions) {
    this.#options = options;
    this.socket = options.socket;
    this.#server = new SocketServer(options.socket, (request, stopped) => this.#answer(request, stopped), failed);
    this.registries = options.registries ?? {};
    this.#store = new ImageStore(options.imageStore ?? "classic");
  }

  /**
   * Starts the Engine, also after `stop`, on the same socket with the same images; `changes` turn
   * it into another version.
   */
  async start(changes: Pick<FakeEngineOptions, "apiVersion" | "minApiVersion" | "version"> = {}): Promise<void> {
    if (this.#server.isRunning) throw new Error("the fake Engine is already running");
    this.#options = { ...this.#options, ...changes };
    await this.#server.start();
  }

  /**
   * Stops the Engine as a crash would: it cuts off every open call. The images stay for the next
   * start.
   */
  async stop(): Promise<void> {
    await this.#server.stop();
  }

  /** Reports whether the reference resolves, as GET /images/{name}/json would. */
  has(reference: string): boolean {
    return this.#store.resolve(reference) !== undefined;
  }

  /** Returns the id of the image that a reference resolves to, or undefined. */
  idOf(reference: string): string | undefined {
    return this.#store.inspect(reference)?.Id;
  }

  /** Adds an image under a name, without a registry. */
  import(reference: string, image: FakeImage): void {
    this.#store.addTag(parsed(reference), image);
  }

  /**
   * Removes a name, and the image along with its last name, as the kubelet's garbage collection
   * does.
   */
  remove(reference: string): void {
    this.#store.remove(parsed(reference));
    this.events.tell({ Type: "image", Action: "untag", Actor: { ID: reference, Attributes: { name: reference } } });
    if (this.#store.size === 0) this.#layers.clear();
  }

  /** Holds the pulls of `reference`, or of every image without one, at a point until released. */
  hold(at: HoldPoint, reference?: string): Gate {
    return this.#holds.hold(at, reference);
  }

  /** Resolves with the first call in the journal, past or future, that the predicate accepts. */
  waitFor(predicate: (call: EngineCall) => boolean): Promise<EngineCall> {
    return this.#waiters.waitFor(predicate);
  }

  /** Number of pulls that are running. */
  get pulling(): number {
    return this.#pulling.size;
  }

  /** Returns the requested references of the pulls in the journal. */
  pulls(): string[] {
    return this.journal.filter((call) => call.path === "/images/create").map((call) =>
      joined(call.query.fromImage ?? "", call.query.tag ?? "")
    );
  }

  async #answer(request: Request, stopped: AbortSignal): Promise<Response> {
    const url = new URL(request.url);
    const [, version = "", versionedPath] = VERSIONED.exec(url.pathname) ?? [];
    const call: EngineCall = {
      method: request.method,
      path: decodeURIComponent(versionedPath ?? url.pathname),
      version,
      query: Object.fromEntries(url.searchParams),
      headers: Object.fromEntries(request.headers),
    };
    this.calls++;
    this.journal.push(call);
    if (this.journal.length > (this.#options.journalLimit ?? 10_000)) this.journal.shift();
    const ended = Promise.withResolvers<void>();
    const end = (how: "complete" | "aborted") => {
      call.ended ??= how;
      ended.resolve();
      this.#pulling.delete(call);
      this.#waiters.tell();
    };
    const left = AbortSignal.any([request.signal, stopped]);
    left.addEventListener("abort", () => end("aborted"), { once: true });
    this.#waiters.tell();
    await this.watch?.(call, ended.promise);
    await this.gates.pass("before", call, left);
    const response = await this.intercept?.(call, request) ?? await this.#route(call, left, end);
    await this.gates.pass("after", call, left);
    call.status = response.status;
    response.headers.set("Api-Version", this.#options.apiVersion ?? "1.41");
    response.headers.set("Server", `Docker/${this.#options.version ?? "20.10.24"} (linux)`);
    const streams = call.path === "/images/create" || call.path === "/events";
    if (!streams || response.status !== 200) end("complete");
    return response;
  }

  #route(
    call: EngineCall,
    left: AbortSignal,
    end: (how: "complete" | "aborted") => void,
  ): Response | Promise<Response> {
    const { method, path } = call;
    if (path === "/_ping" && method === "GET" && call.version === "") return new Response("OK");
    const refusal = versionRefusal(this.#options, call.version);
    if (refusal !== undefined) return refusal;
    if (path.includes("//")) {
      return new Response(null, { status: 301, headers: { Location: path.replaceAll("//", "/") } });
    }
    if (path === "/info" && method === "GET") return Response.json(infoOf(this.#options));
    const inspected = /^\/images\/(.+)\/json$/.exec(path)?.[1];
    if (inspected !== undefined && method === "GET") return inspectAnswer(this.#store, inspected);
    const source = /^\/images\/(.+)\/tag$/.exec(path)?.[1];
    if (source !== undefined && method === "POST" && this.#hasOnly(call, ["repo", "tag"])) {
      return tagAnswer(this.#store, source, call.query.repo ?? "", call.query.tag ?? "");
    }
    const lookedUp = /^\/distribution\/(.+)\/json$/.exec(path)?.[1];
    if (lookedUp !== undefined && method === "GET") return this.#resolve(lookedUp, call, left);
    if (path === "/events" && method === "GET" && this.#hasOnly(call, ["filters"])) {
      return this.events.open(left, () => end("aborted"));
    }
    if (path === "/images/create" && method === "POST" && this.#hasOnly(call, ["fromImage", "tag"])) {
      return this.#pull(call, left, end);
    }
    this.unexpected.push(`${method} ${path}?${new URLSearchParams(call.query)}`);
    return message(404, "page not found");
  }

  #hasOnly(call: EngineCall, keys: readonly string[]): boolean {
    return Object.keys(call.query).sort().join() === [...keys].sort().join();
  }

  async #resolve(name: string, call: EngineCall, left: AbortSignal): Promise<Response> {
    const reference = parseFakeReference(name);
    if (reference === undefined) return message(400, "invalid reference format");
    const registry = this.registries[reference.host];
    if (registry?.state === "silent") await aborted(left);
    const found = askRegistry(registry, reference, call.headers["x-registry-auth"]);
    if (found instanceof Response) return found;
    const mediaType = "application/vnd.docker.distribution.manifest.v2+json";
    const architecture = Deno.build.arch === "aarch64" ? "arm64" : "amd64";
    const Platforms = [{ architecture, os: "linux" }];
    return Response.json({ Descriptor: { mediaType, digest: found.digest, size: 500 }, Platforms });
  }

  async #pull(call: EngineCall, left: AbortSignal, end: (how: "complete" | "aborted") => void): Promise<Response> {
    const text = joined(call.query.fromImage ?? "", call.query.tag ?? "");
    const reference = parseFakeReference(text);
    if (reference === undefined) return message(400, "invalid reference format");
    if (reference.tag === undefined && reference.digest === undefined) {
      this.unexpected.push(`pull of every tag of ${text}`);
      return message(500, "the fake Engine does not pull complete repositories");
    }
    this.#pulling.add(call);
    this.mostPulling = Math.max(this.mostPulling, this.pulling);
    await this.#holds.pass("headers", text, left);
    const registry = this.registries[reference.host];
    if (registry?.state === "silent") await aborted(left);
    const found = askRegistry(registry, reference, call.headers["x-registry-auth"]);
    if (found instanceof Response) return found;
    const script = new PullScript({
      reference,
      image: found,
      state: () => registry?.state ?? "torn",
      stepMs: this.#options.stepMs ?? 20,
      signal: left,
      pass: (point) => this.#holds.pass(point, text, left),
      knows: (layer) => this.#layers.has(layer),
      finish: () => {
        for (const layer of found.layers) this.#layers.add(layer.id);
        return this.#store.addPulled(reference, found);
      },
      ended: end,
    });
    return new Response(script.stream(), { headers: { "Content-Type": "application/json" } });
  }
}

function failed(): Response {
  return message(500, "the client left");
}

function joined(name: string, suffix: string): string {
  if (suffix === "") return name;
  return suffix.startsWith("sha256:") ? `${name}@${suffix}` : `${name}:${suffix}`;
}

function parsed(text: string): FakeReference {
  const reference = parseFakeReference(text);
  if (reference === undefined) throw new Error(`not a reference: ${text}`);
  return reference;
}
