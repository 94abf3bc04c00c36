// The registry endpoint on a loopback port over plain HTTP, with everything that its observers hear.

import { compileExclusions, type ExclusionPatterns } from "../../lib/images/exclusions.ts";
import { compileRules, type RegistryRule } from "../../lib/images/rules.ts";
import { Cooldowns } from "../../lib/mirrors/cooldown.ts";
import { MirrorPool, type MirrorSettings } from "../../lib/mirrors/pool.ts";
import type { Veto } from "../../lib/plan/plan.ts";
import { endpoint } from "../../lib/proxy/endpoint.ts";
import type { NotServed, ProxyObserver, ServedPull } from "../../lib/proxy/observer.ts";
import { Pulls } from "../../lib/proxy/pulls.ts";
import { MirrorClients } from "../../lib/proxy/trust.ts";
import { Upstream } from "../../lib/proxy/upstream.ts";
import { systemClock } from "../../lib/support/clock.ts";
import { HttpServer } from "../../lib/support/http/server.ts";

/** What the endpoint is given. */
export interface EndpointOptions {
  readonly registries: readonly RegistryRule[];
  readonly exclude?: Partial<ExclusionPatterns>;
  readonly mirrors?: Readonly<Record<string, MirrorSettings>>;
  readonly veto?: Veto;
  readonly headersTimeoutMs?: number;
  readonly stallTimeoutMs?: number;
}

/** A running endpoint. */
export interface TestEndpoint extends AsyncDisposable {
  readonly port: number;
  /** Sends a request to the endpoint in the name of `origin`. */
  ask(origin: string, path: string, init?: RequestInit): Promise<Response>;
  /** What the observers heard, oldest first. */
  readonly heard: readonly string[];
  readonly served: readonly ServedPull[];
  readonly notServed: readonly NotServed[];
  /** Ends the pulls, so that they are reported. */
  endPulls(): void;
}

/** Starts an endpoint with these rules. */
export function startEndpoint(options: EndpointOptions): TestEndpoint {
  const heard: string[] = [];
  const served: ServedPull[] = [];
  const notServed: NotServed[] = [];
  const observer: ProxyObserver = {
    serving: ({ image }, { reference }) => void heard.push(`serving ${image} from ${reference}`),
    candidateFailed: (_, { candidate, failure }) => void heard.push(`${candidate.reference}: ${failure}`),
    resumed: (_, { mirror }, at) => void heard.push(`${mirror} continues at ${at}`),
    served: (pull) => void served.push(pull),
    notServed: (image) => void notServed.push(image),
    unexpected: (error) => void heard.push(`unexpected: ${error}`),
  };
  const clock = systemClock;
  const clients = new MirrorClients(clock.now, ["/nonexistent"]);
  const pulls = new Pulls({ observer, now: clock.now });
  const context = {
    registries: compileRules(options.registries),
    exclusions: compileExclusions({ images: [], namespaces: [], ...options.exclude }),
    mirrors: new MirrorPool({
      settings: options.mirrors ?? {},
      concurrency: 100,
      cooldowns: new Cooldowns(),
      clock,
      random: () => 0,
      observer,
    }),
    upstream: new Upstream({ clients, headersTimeoutMs: options.headersTimeoutMs ?? 5000, now: clock.now }),
    pulls,
    veto: options.veto ?? (() => undefined),
    observer,
    stallTimeoutMs: options.stallTimeoutMs ?? 5000,
    now: Date.now,
  };
  const server = new HttpServer({ hostname: "127.0.0.1", port: 0, handle: endpoint(() => context), dropsBusy: false });
  return {
    port: server.port,
    ask: (origin, path, init = {}) => fetch(`http://127.0.0.1:${server.port}${path}?ns=${origin}`, init),
    heard,
    served,
    notServed,
    endPulls: () => pulls.close(),
    async [Symbol.asyncDispose]() {
      await server.close();
      pulls.close();
      clients.close();
    },
  };
}
