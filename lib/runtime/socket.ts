// Why a runtime's socket gives no answer: by the operating system's error for the connection, and by
// what is found under the socket's path.

import { HttpTimeoutError } from "../support/http/client.ts";
import type { SocketFault } from "./advice.ts";

/** Errors of connect(2), as the platform prints them; a file that is no socket refuses connections, too. */
const ABSENT = /\(os error (?:2|20)\)/;
const FORBIDDEN = /\(os error (?:1|13)\)/;
const REFUSED = /\(os error 111\)/;

/**
 * Returns why a request on a socket failed, judging by the error that the platform threw for it, and
 * never by what was answered; undefined if it does not tell.
 */
export function socketFault(socket: string, error: unknown): SocketFault | undefined {
  if (error instanceof HttpTimeoutError) return { kind: "hangs" };
  const text = error instanceof Error ? error.message : String(error);
  if (ABSENT.test(text)) return { kind: "absent" };
  if (FORBIDDEN.test(text)) return { kind: "forbidden" };
  if (!REFUSED.test(text)) return undefined;
  const found = notSocketAt(socket);
  return found === undefined ? { kind: "not-listening" } : { kind: "not-a-socket", found };
}

function notSocketAt(path: string): string | undefined {
  try {
    const { isSocket, isDirectory } = Deno.statSync(path);
    return isSocket ? undefined : isDirectory ? "a directory" : "a file";
  } catch {
    return undefined;
  }
}

/** Returns the reason for a log line: the error's text, or what it means where that says more. */
export function socketReason(fault: SocketFault | undefined, text: string): string {
  if (fault?.kind === "forbidden") return `${text}; only root and the socket's group may use it`;
  if (fault?.kind === "not-a-socket") return `what is there is ${fault.found}, not a socket`;
  return text;
}
