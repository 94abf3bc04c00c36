// The table of texts: which runtime said what, where, in which case, and what kind that is.

import { PROJECT } from "../../../tools/deno.ts";
import type { Kind } from "./case.ts";

/** One text. */
export interface Row {
  readonly runtime: string;
  readonly case: string;
  /** The method of Gilly's client. */
  readonly call: "pull" | "resolve";
  /** The HTTP status before a stream, `stream`, `gRPC CODE`, or `Gilly` for what its client says. */
  readonly said: string;
  /** What the runtime said of `mirror.example:5000/team/app:1`, on one line. */
  readonly message: string;
  /** What a client must take it for. */
  readonly kind: Kind;
}

/** Where the table is. */
export const TABLE = `${PROJECT}tests/testdata/runtime_texts.json`;

/** What Go says of a time-out: any of four texts (net/http, setRequestCancel). */
const TIMEOUT = /(?:context deadline exceeded|net\/http: request canceled)(?: \(Client\.Timeout exceeded [a-z ]+\))?$/g;

const MIRROR = "mirror.example:5000";

/** A text with what differs from run to run replaced: hosts, ports, digests, folders, times. */
export function normalized(text: string, { reference, dir }: { readonly reference: string; readonly dir: string }) {
  const host = reference.slice(0, reference.indexOf("/"));
  const bareHost = host.replace(/:\d+$/, "");
  const digests: string[] = [];
  return text
    .replaceAll(host, MIRROR)
    .replaceAll(
      new RegExp(`\\b${bareHost.replaceAll(".", "\\.")}\\b`, "g"),
      (found) => found === "127.0.0.1" ? found : "mirror.example",
    )
    .replaceAll(dir, "/var/lib/runtime")
    // A mirror at a loopback address has no name.
    .replaceAll(`dial tcp ${MIRROR}`, "dial tcp 192.0.2.2:5000")
    .replaceAll(/192\.0\.2\.2:\d{4,5}\b/g, "192.0.2.2:5000")
    .replaceAll(TIMEOUT, "net/http: request canceled (Client.Timeout exceeded while awaiting headers)")
    .replaceAll(/overlay2\/l\/[A-Z0-9]{26}\b/g, "overlay2/l/ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    .replaceAll(/\bextract-\d+-\S{4}(?= )/g, "extract-123456789-abcd")
    .replaceAll(/127\.0\.0\.1:\d{4,5}\b/g, "127.0.0.1:40000")
    .replaceAll(/\b[0-9a-f]{64}\b/g, (digest) => {
      if (!digests.includes(digest)) digests.push(digest);
      return String((digests.indexOf(digest) + 1) % 10).repeat(64);
    })
    .replaceAll(/current time \S+ is/g, "current time 2026-01-02T03:04:05Z is")
    .replaceAll(/(GetImageBlob|containerd-mount|\bingest\/|\bsnapshots\/)\d+/g, "$10123456789");
}

/** Reads the table. */
export async function readTable(): Promise<Row[]> {
  return JSON.parse(await Deno.readTextFile(TABLE));
}

/** Writes the table, a text a line. */
export async function writeTable(rows: readonly Row[]): Promise<void> {
  await Deno.writeTextFile(TABLE, `[\n${rows.map((row) => JSON.stringify(row)).join(",\n")}\n]\n`);
}
