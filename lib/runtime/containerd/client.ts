// The adapter for one containerd, over its Unix socket: images by CRI, as the kubelet sees and pulls
// them, and names by containerd's own image service. It must never call a method that removes or
// changes anything; Images/Create refuses a name that exists.

import { familiarReference, type Reference, referenceOrUndefined } from "../../images/reference.ts";
import type { RegistryAuth } from "../../images/registry.ts";
import { scrub } from "../../support/scrub.ts";
import { LinkedSignal, sleep, Watchdog } from "../../support/timeouts.ts";
import type { RuntimeAdvice, RuntimeInfo } from "../advice.ts";
import { errorInBrief } from "../brief_texts.ts";
import { RuntimeError, scrubbedError } from "../errors.ts";
import { plainText } from "../registry_texts.ts";
import type { EventOptions, LocalImage, PulledImage, PullOptions, Runtime } from "../runtime.ts";
import { containerdAdvice } from "./advice.ts";
import { AnswerError, ContainerdConnection, GrpcError } from "./connection.ts";
import { readCriConfig } from "./cri_config.ts";
import { EVENT_FILTERS, eventOf, OWN_TOPIC } from "./events.ts";
import { classifyPull, STATUS } from "./failures.ts";
import { ImageService, RuntimeService } from "./messages/cri_pb.ts";
import { Events } from "./messages/events_pb.ts";
import { Images } from "./messages/images_pb.ts";
import { PullWatch } from "./pull_watch.ts";

/** Where containerd listens and how long to wait for it. */
export interface ContainerdOptions {
  /** Path of containerd's Unix socket. */
  readonly socket: string;
  /** Milliseconds that a pull may take between changes before it is given up as stalled. */
  readonly noProgressMs: number;
  /** Milliseconds that any other call may take. */
  readonly callTimeoutMs?: number;
}

/** How long CRI may take to notice a new name, in milliseconds, and between two looks for it. */
const NOTICE_MS = 5000;
const NOTICE_LOOK_MS = 50;

/** Milliseconds between two events of our own while a subscription is not answered. */
const ANNOUNCE_MS = 100;

/** What CRI puts on the images that it manages (containerd, pkg/cri/labels). */
const MANAGED = { "io.cri-containerd.image": "managed" };

/**
 * A containerd with its CRI plugin as a Runtime. It does not connect before the first call, and
 * survives restarts of containerd.
 */
export class ContainerdRuntime implements Runtime {
  readonly advice: RuntimeAdvice;
  /** Neither CRI nor containerd asks a registry without pulling. */
  readonly resolve = undefined;
  readonly #noProgressMs: number;
  readonly #callTimeoutMs: number;
  readonly #connection: ContainerdConnection;

  constructor({ socket, noProgressMs, callTimeoutMs = 30_000 }: ContainerdOptions) {
    this.#noProgressMs = noProgressMs;
    this.#callTimeoutMs = callTimeoutMs;
    this.advice = containerdAdvice(socket);
    this.#connection = new ContainerdConnection(this.advice, callTimeoutMs);
  }

  async info(signal: AbortSignal): Promise<RuntimeInfo> {
    const attempt = `query containerd at ${this.advice.socket}`;
    const { version, status } = RuntimeService.method;
    const [about, { info }] = await Promise.all([
      this.#connection.unary(attempt, version, {}, { signal }),
      this.#connection.unary(attempt, status, { verbose: true }, { signal }),
    ]);
    // Only containerd itself has the image service by which names are given.
    if (about.runtimeName !== "containerd") throw this.#connection.another(attempt, plainText(about.runtimeName));
    return {
      name: "containerd",
      version: plainText(about.runtimeVersion) || "unknown",
      apiVersion: `CRI ${plainText(about.runtimeApiVersion) || "unknown"}`,
      imageStore: "containerd's",
      canAliasDigest: true,
      mirrorsFolder: readCriConfig(info["config"]).mirrorsFolder,
    };
  }

  async inspect(reference: string, signal: AbortSignal): Promise<LocalImage | undefined> {
    const attempt = `inspect ${plainText(reference)}`;
    const image = checked(attempt, reference);
    const { image: found } = await this.#connection.unary(
      attempt,
      ImageService.method.imageStatus,
      { image: { image } },
      { signal },
    );
    if (found === undefined || found.id === "") return undefined;
    return { id: found.id, tags: found.repoTags.map(familiar), digests: found.repoDigests.map(familiar) };
  }

  async pull(reference: string, options: PullOptions): Promise<PulledImage> {
    const attempt = `pull ${plainText(reference)}`;
    const image = checkedForPull(attempt, reference);
    // What another runtime pulls cannot be given a name afterward.
    const { runtimeName } = await this.#connection.unary(attempt, RuntimeService.method.version, {}, options);
    if (runtimeName !== "containerd") throw ofThisCall(this.#connection.another(attempt, plainText(runtimeName)));
    const bytes = await this.#pulled(attempt, image, options);
    return { digest: await this.#digestOf(attempt, image, options.signal), bytes };
  }

  /** Pulls an image and returns the bytes of its layers that were downloaded. */
  async #pulled(attempt: string, image: string, options: PullOptions): Promise<number> {
    const watchdog = new Watchdog(this.#noProgressMs);
    const signal = AbortSignal.any([options.signal, watchdog.signal]);
    const looking = new AbortController();
    const watch = new PullWatch({
      connection: this.#connection,
      attempt,
      onProgress(news) {
        watchdog.feed();
        for (const step of news) options.onProgress?.(step);
      },
    });
    try {
      watchdog.feed();
      const pulling = this.#connection.unary(
        attempt,
        ImageService.method.pullImage,
        { image: { image }, ...(options.auth && { auth: authOf(options.auth) }) },
        { signal, noDeadline: true },
      );
      const watched = watch.run(AbortSignal.any([signal, looking.signal]));
      try {
        await pulling;
      } finally {
        looking.abort();
        // A look that has just been answered must not start the watchdog anew.
        await watched;
      }
      return watch.bytes;
    } catch (error) {
      options.signal.throwIfAborted();
      if (watchdog.signal.aborted) {
        throw new RuntimeError("stalled", `${attempt}: no progress for ${this.#noProgressMs / 1000} s, given up`);
      }
      throw errorInBrief(withoutSecrets(pullError(image, error), options.auth), image);
    } finally {
      // containerd stops a pull whose client has gone.
      watchdog.end();
    }
  }

  /** Returns the digest of what a name has, or undefined if the name has gone since it was pulled. */
  async #digestOf(attempt: string, name: string, signal: AbortSignal): Promise<string | undefined> {
    try {
      const { image } = await this.#connection.unary(attempt, Images.method.get, { name }, { signal });
      return image?.target?.digest;
    } catch (error) {
      if (error instanceof GrpcError && error.kind === "not-found") return undefined;
      throw error;
    }
  }

  /** Refused by containerd if the name exists, so that no name is ever moved; that is no failure. */
  async tag(
    source: string,
    { name, tag }: { readonly name: string; readonly tag: string },
    signal: AbortSignal,
  ): Promise<void> {
    const attempt = plainText(`tag ${source} as ${name}:${tag}`);
    const alias = checkedForPull(attempt, `${name}:${tag}`);
    const from = checked(attempt, source);
    const { image } = await this.#connection.unary(attempt, Images.method.get, { name: from }, { signal });
    const target = image?.target;
    if (target === undefined) throw new RuntimeError("failed", `${attempt}: containerd's answer has no image`);
    // The kubelet looks a digest up under its own name.
    for (const wanted of [alias, `${alias.slice(0, alias.lastIndexOf(":"))}@${target.digest}`]) {
      await this.#create(attempt, wanted, target, signal);
    }
    await this.#noticed(attempt, alias, signal);
  }

  async #create(
    attempt: string,
    name: string,
    target: { readonly mediaType: string; readonly digest: string; readonly size: bigint },
    signal: AbortSignal,
  ): Promise<void> {
    const { mediaType, digest, size } = target;
    try {
      const request = { image: { name, labels: MANAGED, target: { mediaType, digest, size } } };
      await this.#connection.unary(attempt, Images.method.create, request, { signal });
    } catch (error) {
      if (!(error instanceof GrpcError && error.status === STATUS.alreadyExists)) throw error;
    }
  }

  /** CRI has a list of its own, which follows containerd's events. */
  async #noticed(attempt: string, name: string, signal: AbortSignal): Promise<void> {
    const giveUp = AbortSignal.timeout(NOTICE_MS);
    while (await this.inspect(name, signal) === undefined) {
      if (giveUp.aborted) {
        throw new RuntimeError("failed", `${attempt}: containerd has the name, but its CRI plugin does not see it`);
      }
      await sleep(NOTICE_LOOK_MS, signal);
      signal.throwIfAborted();
    }
  }

  /**
   * containerd answers a subscription with its first event, and not before, so it is sent one until
   * it has answered.
   */
  async events({ signal, onOpen, onEvent }: EventOptions): Promise<never> {
    const attempt = "follow the events of containerd";
    using following = new LinkedSignal(signal);
    using announcing = new LinkedSignal(following.signal);
    let failure: { readonly error: unknown } | undefined;
    const announced = this.#announce(attempt, announcing.signal).catch((error) => {
      failure = { error };
      following.abort();
    });
    try {
      const request = { filters: [...EVENT_FILTERS] };
      const events = this.#connection.stream(attempt, Events.method.subscribe, request, following.signal);
      for await (const { topic } of events) {
        if (!announcing.signal.aborted) onOpen();
        announcing.abort();
        const event = eventOf(topic);
        if (event !== undefined) onEvent(event);
      }
      throw new RuntimeError("unreachable", `${attempt}: containerd ended the stream`);
    } catch (error) {
      signal.throwIfAborted();
      throw answered(failure?.error ?? error);
    } finally {
      announcing.abort();
      await announced;
    }
  }

  /** Throws RuntimeError if the subscription is not answered within the deadline of a call. */
  async #announce(attempt: string, signal: AbortSignal): Promise<void> {
    for (let waitedMs = 0; !signal.aborted; waitedMs += ANNOUNCE_MS) {
      if (waitedMs >= this.#callTimeoutMs) {
        const seconds = this.#callTimeoutMs / 1000;
        throw new RuntimeError("unreachable", `${attempt}: no event arrived within ${seconds} s, not even our own`);
      }
      try {
        await this.#connection.unary(attempt, Events.method.publish, { topic: OWN_TOPIC, event: {} }, { signal });
      } catch (error) {
        if (signal.aborted) return;
        throw error;
      }
      await sleep(ANNOUNCE_MS, signal);
    }
  }

  close(): void {
    this.#connection.close();
  }
}

/** Returns a reference as containerd spells it. Throws RuntimeError if it cannot be one. */
function checked(attempt: string, text: string): string {
  if (/^sha256:[0-9a-f]{64}$/.test(text)) return text;
  const reference = referenceOrUndefined(text);
  if (reference === undefined) throw new RuntimeError("rejected", `${attempt}: not a usable image reference`);
  return spelled(reference);
}

function checkedForPull(attempt: string, text: string): string {
  if (!/(?::[^:/@]+|@[^@]+)$/.test(text)) {
    throw new RuntimeError("rejected", `${attempt}: a tag or a digest is required`);
  }
  return checked(attempt, text);
}

/** CRI spells every name out; see LocalImage. */
function familiar(name: string): string {
  const reference = referenceOrUndefined(name);
  return reference === undefined ? name : familiarReference(reference);
}

/** With a digest, the tag is left out, as the kubelet's own pull does. */
function spelled({ domain, path, tag, digest }: Reference): string {
  return digest === undefined ? `${domain}/${path}:${tag}` : `${domain}/${path}@${digest}`;
}

function authOf(auth: RegistryAuth) {
  return "identitytoken" in auth
    ? { identityToken: auth.identitytoken }
    : { username: auth.username, password: auth.password };
}

/** The same failure, of this call alone. */
function ofThisCall(error: RuntimeError): RuntimeError {
  return new RuntimeError(error.kind, error.message, { cause: error.cause });
}

/** A bad answer to a call beside others that are answered is no silence. */
function answered(error: unknown): unknown {
  const isAnswer = error instanceof AnswerError || error instanceof GrpcError;
  return isAnswer && error.silence !== undefined ? ofThisCall(error) : error;
}

function pullError(reference: string, error: unknown): unknown {
  // A bad answer is not the mirror's, even if it is a web page with status 404.
  if (!(error instanceof GrpcError) || error.silence !== undefined) return answered(error);
  const { kind, retryAfterSeconds } = classifyPull({ status: error.status, message: error.message }, reference);
  return new RuntimeError(kind, error.message, { retryAfterSeconds });
}

function withoutSecrets(error: unknown, auth: RegistryAuth | undefined): unknown {
  return auth === undefined ? error : scrubbedError(error, (text) => scrub(text, secretsOf(auth)));
}

/**
 * Registries see a password with the user's name, as HTTP's basic authentication sends it, and a token
 * without one (containerd, ParseAuth); both may be quoted, in base64 too.
 */
function secretsOf(auth: RegistryAuth): string[] {
  const [user, secret] = "identitytoken" in auth ? ["", auth.identitytoken] : [auth.username, auth.password];
  const coded = [`${user}:${secret}`, secret].map((text) => new TextEncoder().encode(text).toBase64());
  return [secret, ...coded, ...coded.map((text) => text.replaceAll("+", "-").replaceAll("/", "_"))];
}
