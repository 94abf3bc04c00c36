// The progress that the fake Docker Engine streams for one pull, with the messages of Engine 20.10.
import { type FakeImage, type FakeReference, familiarName } from "./image_store.ts";
import type { HoldPoint } from "./pull_holds.ts";
import type { RegistryState } from "./registries.ts";

/** One pull, and the Engine's side of it. */
export interface PullScriptOptions {
  readonly reference: FakeReference;
  readonly image: FakeImage;
  /** Called at every step: a registry may change during a pull. */
  readonly state: () => RegistryState;
  readonly stepMs: number;
  /** Aborted when the client leaves or the Engine stops. */
  readonly signal: AbortSignal;
  /** Waits while the pull is held at that point. */
  readonly pass: (point: HoldPoint) => Promise<void>;
  /** Reports whether a layer is already in the store. */
  readonly knows: (layer: string) => boolean;
  /** Adds the image to the store; returns whether any name was new or moved. */
  readonly finish: () => boolean;
  readonly ended: (how: "complete" | "aborted") => void;
}

/** Writes the answer of one pull. */
export class PullScript {
  readonly #options: PullScriptOptions;

  constructor(options: PullScriptOptions) {
    this.#options = options;
  }

  /** Returns the body of the answer; the registry's state decides how it ends or fails. */
  stream(): ReadableStream<Uint8Array> {
    const encoder = new TextEncoder();
    const lines = this.#lines();
    return new ReadableStream({
      pull: async (controller) => {
        try {
          const { done, value } = await lines.next();
          if (!done) return controller.enqueue(encoder.encode(`${JSON.stringify(value)}\r\n`));
          this.#options.ended("complete");
          controller.close();
        } catch (error) {
          this.#options.ended("aborted");
          controller.error(error);
        }
      },
      cancel: () => this.#options.ended("aborted"),
    });
  }

  async *#lines(): AsyncGenerator<Record<string, unknown>> {
    const { reference, image, pass, knows, finish, state } = this.#options;
    const shown = reference.digest === undefined
      ? `${familiarName(reference.name)}:${reference.tag}`
      : `${familiarName(reference.name)}@${reference.digest}`;
    yield { status: `Pulling from ${reference.path}`, id: reference.digest === undefined ? reference.tag : shown };
    await pass("layers");
    for (const layer of image.layers) {
      if (knows(layer.id)) yield { status: "Already exists", progressDetail: {}, id: layer.id };
      else yield* this.#layer(layer);
    }
    await pass("end");
    if (state() === "cut") return;
    if (state() === "error-after-progress") {
      yield { errorDetail: { message: "unexpected EOF" }, error: "unexpected EOF" };
      return;
    }
    const isNew = finish();
    yield { status: `Digest: ${image.digest}` };
    yield { status: `Status: ${isNew ? "Downloaded newer image for" : "Image is up to date for"} ${shown}` };
  }

  async *#layer({ id, bytes }: { id: string; bytes: number }): AsyncGenerator<Record<string, unknown>> {
    yield { status: "Pulling fs layer", progressDetail: {}, id };
    for (const share of [0.25, 0.5, 0.75, 1]) {
      const line = { status: "Downloading", progressDetail: { current: Math.round(bytes * share), total: bytes }, id };
      yield line;
      await this.#step();
      if (this.#options.state() === "torn") {
        // Without the pause the lines so far would not be sent, and the complete answer would be
        // missing.
        await this.#pause();
        throw new Error("the connection breaks off on purpose");
      }
      while (this.#options.state() === "stalled") {
        await this.#pause();
        yield line;
      }
    }
    yield { status: "Download complete", progressDetail: {}, id };
    yield { status: "Extracting", progressDetail: { current: bytes, total: bytes }, id };
    yield { status: "Pull complete", progressDetail: {}, id };
  }

  async #step(): Promise<void> {
    if (this.#options.state() === "slow") await this.#pause();
  }

  async #pause(): Promise<void> {
    const { signal, stepMs } = this.#options;
    signal.throwIfAborted();
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, stepMs);
    signal.addEventListener("abort", () => resolve(), { once: true });
    await promise;
    clearTimeout(timer);
    signal.throwIfAborted();
  }
}
