// What a runtime is, in words, and what a person can do about it. All that Gilly says of one runtime in particular comes
// from here, so that another needs no word changed elsewhere. Pure.

/** Which runtime it is, in words. */
export interface RuntimeName {
  /** A word for the head of a log line: `Docker`. */
  readonly short: string;
  /** In a sentence: `the Docker Engine`. */
  readonly called: string;
  /** Absolute path of the unix socket at which it listens. */
  readonly socket: string;
}

/** What a runtime says of itself. */
export interface RuntimeInfo {
  readonly name: string;
  readonly version: string;
  readonly apiVersion: string;
  /** How it keeps images, for people: `containerd's`. */
  readonly imageStore: string;
  /** Whether a digest can be given a second name, so that what goes by a digest can be repaired. */
  readonly canAliasDigest: boolean;
}

/** What Gilly knows of a runtime besides how to call it. Every text is a sentence without its full stop. */
export interface RuntimeAdvice extends RuntimeName {
  /** What `check` calls it and its socket: the names of findings, which stay the same from run to run. */
  readonly findings: { readonly runtime: string; readonly socket: string };
  /** The next step when the socket does not exist, when nobody listens there, and after any other failure. */
  readonly remedies: { readonly noSocket: string; readonly notListening: string; readonly failed: string };
  /** Where a proxy in front of the mirrors belongs. */
  readonly proxyRemedy: string;
  /** What to do about a mirror that the runtime cannot reach, if its own settings may be why; by the text of the failure. */
  mirrorRemedy(mirror: string, text: string): string | undefined;
  /** Whether the runtime could ask the mirrors itself, and what writes its settings where it can. */
  permanentFix(info: RuntimeInfo): { readonly message: string; readonly remedy?: string };
}

/** A runtime that gave no usable answer at all, and why. */
export interface Silence {
  readonly runtime: RuntimeName;
  readonly because: string;
}

/** `the Docker Engine at /run/docker.sock does not answer (Connection refused)`. */
export function silenceText({ runtime: { called, socket }, because }: Silence): string {
  return `${called} at ${socket} does not answer (${because})`;
}
