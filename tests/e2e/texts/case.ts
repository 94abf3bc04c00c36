// What a case of the table of texts is.

import type { RuntimeErrorKind } from "../../../lib/runtime/errors.ts";
import { type Stock, wholeImage } from "./images.ts";
import { type Answers, startMirror } from "./mirror.ts";
import type { Network } from "./network.ts";
import type { TextRuntime } from "./runtimes.ts";

/** What the clients must take a text for; `pulled` where a runtime takes what others refuse. */
export type Kind = RuntimeErrorKind | "pulled";

/** What a case has: the network with its names, and the runtime. */
export interface Bench {
  readonly network: Network;
  readonly runtime: TextRuntime;
}

/** A case that is ready; it ends what it started when disposed. */
export interface Scene extends AsyncDisposable {
  /** What is pulled, and its host in messages. */
  readonly reference: string;
}

/** One way in which a pull fails. */
export interface Case {
  readonly name: string;
  /** The right kind of its texts. */
  readonly kind: Kind;
  /** The right kind where a runtime's text says less, or more; `RUNTIME` or `RUNTIME CALL`. */
  readonly except?: Readonly<Record<string, Kind>>;
  /** Of texts that differ from run to run; the table holds one of them. */
  readonly pattern?: RegExp;
  /** Whether it concerns a runtime; all by default. */
  readonly isFor?: (runtime: TextRuntime) => boolean;
  open(bench: Bench): Promise<Scene> | Scene;
}

/** The right kind where the runtimes that ask for a manifest's headers alone say less than the others. */
export function headersAlone(kind: Kind): NonNullable<Case["except"]> {
  return { "docker-28-containerd pull": kind, "containerd-1.6": kind, "containerd-2.1": kind };
}

/** The right kind where an Engine with its classic image store says otherwise. */
export function classicStore(kind: Kind): NonNullable<Case["except"]> {
  return { "docker-20.10": kind, "docker-28": kind, "docker-28-containerd resolve": kind };
}

/** The path and the tag of every image. */
export const IMAGE = "team/app:1";

/** A case of a mirror at a loopback address, over HTTP, with an image or with answers of its own. */
export function mirrorCase(
  name: string,
  kind: Kind,
  what: { readonly stock?: () => Promise<Stock>; readonly answers?: Answers },
  more: Pick<Case, "except" | "isFor"> = {},
): Case {
  return {
    name,
    kind,
    ...more,
    async open() {
      const mirror = startMirror(await (what.stock ?? (() => wholeImage(name)))(), what.answers);
      return {
        reference: `127.0.0.1:${mirror.port}/${IMAGE}`,
        [Symbol.asyncDispose]: () => mirror[Symbol.asyncDispose](),
      };
    },
  };
}

/** A scene of a reference for which nothing was started. */
export function bare(host: string): Scene {
  return { reference: `${host}/${IMAGE}`, [Symbol.asyncDispose]: () => Promise.resolve() };
}
