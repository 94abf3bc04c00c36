// Descriptions of a runtime, and what a person can do about it. Every text about a particular
// runtime comes from here, so that adding another changes no text elsewhere. Pure.

import type { NetworkFault } from "./network_texts.ts";

/** The names of a runtime in messages. */
export interface RuntimeName {
  /** A word for the start of a log line: `Docker`. */
  readonly short: string;
  /** In a sentence: `the Docker Engine`. */
  readonly called: string;
  /** Absolute path of the Unix socket that it listens on. */
  readonly socket: string;
  /** How the kubelet names it in the ids of containers: `docker`. It is its key in the config, too. */
  readonly scheme: string;
}

/** What a runtime reports about itself. */
export interface RuntimeInfo {
  readonly name: string;
  readonly version: string;
  readonly apiVersion: string;
  /** How it stores images, for display: `containerd's`. */
  readonly imageStore: string;
  /** Whether a digest can get a second name, so that images named by a digest can be repaired. */
  readonly canAliasDigest: boolean;
  /** The HTTPS proxy through which it pulls, if it has one, and the list of what goes past it. */
  readonly httpsProxy?: { readonly url: string; readonly noProxy: string };
  /** A part without which it cannot pull, and which does not answer it: `containerd`. */
  readonly silentPart?: string | undefined;
  /** Where it reads the mirrors of registries, if it says so; empty if nowhere. */
  readonly mirrorsFolder?: string | undefined;
}

/** The next step if the runtime gives no usable answer. */
export interface RuntimeRemedies {
  /** The socket does not exist. */
  readonly noSocket: string;
  /** Something else is in its place. */
  readonly notASocket: string;
  /** No process listens on it. */
  readonly notListening: string;
  /** A process listens, and does not answer. */
  readonly hangs: string;
  /** The part that RuntimeInfo.silentPart names does not answer. */
  readonly silentPart: string;
  readonly failed: string;
}

/** What Gilly knows about a runtime besides how to call it. Texts are sentences without periods. */
export interface RuntimeAdvice extends RuntimeName {
  /** Where it has the CAs of registries: a folder for each host, with files that end in .crt. */
  readonly certsFolder: string;
  /** Names of the findings of `check` about the runtime and its socket; they never change. */
  readonly findings: { readonly runtime: string; readonly socket: string };
  readonly remedies: RuntimeRemedies;
  /** Where to configure a proxy for the mirrors. */
  readonly proxyRemedy: string;
  /** How to make it pull from these registries past its HTTPS proxy. */
  noProxyRemedy(registries: readonly string[]): string;
  /**
   * Returns what to do about a mirror with which a connection failed, if the runtime's own settings
   * are what to change.
   */
  mirrorRemedy(mirror: string, fault: NetworkFault): string | undefined;
  /** Returns whether the runtime could use the mirrors itself, and how to write its settings. */
  permanentFix(info: RuntimeInfo): { readonly message: string; readonly remedy?: string };
}

/** The runtimes that a config can name. */
const SCHEMES: readonly string[] = ["docker", "containerd"];

/**
 * Describes a config for another runtime than the kubelet's, whose ids of containers begin with
 * `scheme`: repairs help no pod.
 */
export function otherRuntime(
  scheme: string,
  { called, scheme: configured }: RuntimeName,
): { readonly message: string; readonly remedy: string } {
  if (scheme === "cri-o") {
    return {
      message:
        "the kubelet runs its containers in CRI-O, which has no call that names an image: no pod can be repaired",
      remedy: "gilly export registries.conf writes the rules for CRI-O itself; then uninstall Gilly",
    };
  }
  const message = `the kubelet runs its containers in ${scheme}, not in ${called}: repairs help no pod`;
  if (!SCHEMES.includes(scheme)) {
    return { message, remedy: `Gilly supports ${SCHEMES.join(" and ")}: uninstall it here` };
  }
  return {
    message,
    // A reload would not do: the service may use the socket of one runtime alone.
    remedy: `write ${scheme}: with its socket instead of ${configured}: into the config, then run gilly-setup, ` +
      "which lets the service use that socket",
  };
}

/**
 * Why a socket gives no answer: it does not exist, is not a socket but what `found` says, may not be
 * opened, has no listener, or has one that does not answer in time.
 */
export type SocketFault =
  | { readonly kind: "absent" | "forbidden" | "not-listening" | "hangs" }
  | { readonly kind: "not-a-socket"; readonly found: string };

/** A runtime that gave no usable answer, and why. */
export interface Silence {
  readonly runtime: RuntimeName;
  readonly because: string;
  /** Set if the socket is why. */
  readonly fault?: SocketFault | undefined;
}

/** For example, `the Docker Engine at /run/docker.sock does not answer (Connection refused)`. */
export function silenceText({ runtime: { called, socket }, because }: Silence): string {
  return `${called} at ${socket} does not answer (${because})`;
}
