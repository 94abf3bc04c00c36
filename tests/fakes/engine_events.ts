// The event stream of the fake Docker Engine: a client receives the events from its request on.

/** An event in the form of GET /events (moby, api/types/events). */
export interface EngineEvent {
  readonly Type: "container" | "image";
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> };
}

/** The followers of an Engine's events. */
export class EventStreams {
  readonly #followers = new Set<ReadableStreamDefaultController<Uint8Array>>();
  readonly #encoder = new TextEncoder();

  /** Number of clients that are following. */
  get size(): number {
    return this.#followers.size;
  }

  /**
   * Opens a stream for a client; `ended` is called when the client cancels or `left` is aborted.
   */
  open(left: AbortSignal, ended: () => void): Response {
    let follower: ReadableStreamDefaultController<Uint8Array>;
    const leave = () => {
      if (this.#followers.delete(follower)) ended();
    };
    const stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        follower = controller;
        this.#followers.add(controller);
      },
      cancel: leave,
    });
    left.addEventListener("abort", leave, { once: true });
    return new Response(stream, { headers: { "Content-Type": "application/json" } });
  }

  /** Sends the event to every follower. */
  tell(event: EngineEvent): void {
    const line = this.#encoder.encode(`${JSON.stringify(event)}\n`);
    for (const follower of this.#followers) follower.enqueue(line);
  }
}

/** Returns the start event of a pod's sandbox, labeled as the kubelet's dockershim does. */
export function sandboxStarted(pod: string, namespace = "default"): EngineEvent {
  const Attributes = {
    "io.kubernetes.docker.type": "podsandbox",
    "io.kubernetes.pod.name": pod,
    "io.kubernetes.pod.namespace": namespace,
  };
  return { Type: "container", Action: "start", Actor: { ID: `sandbox-of-${pod}`, Attributes } };
}
