// Checks the files that the config names, once, at load: readable and of the expected kind, or in a
// place where Gilly may write. An adapter for the file system. Contents are not kept, and no
// message repeats them.

import { mistakeInToken } from "../kubelet/bearer_token.ts";
import { checkClientCertificate, ClientCertificateError, mistakeInBlocks, pemBlocks } from "../support/certificates.ts";
import { DENIED } from "../support/errors.ts";
import { ProtectedPathError, realPathForWriting } from "../support/files.ts";
import type { FileKind } from "./schema.ts";

type ReadKind = Exclude<FileKind, "written">;

const LARGEST_FILE = 1024 * 1024;

/**
 * Returns what is wrong with a file, as one sentence that begins with its path, or undefined if it
 * is valid. A certificate and a key must be PEM (RFC 7468), the key must not be encrypted, and a
 * token must be one word. A credentials file may be missing, and its contents are not checked. For
 * a `written` file only the path is checked: it must not lead into the system's folders.
 */
export async function mistakeInFile(path: string, kind: FileKind): Promise<string | undefined> {
  if (kind === "written") return await mistakeInWayTo(path);
  try {
    const { isFile, isDirectory, size } = await Deno.stat(path);
    if (isDirectory) return `${path} is a directory; expected a file`;
    if (!isFile) return `${path} is not a regular file`;
    if (size > LARGEST_FILE) return `${path} is larger than 1 MiB; expected ${expectedIn(kind)}`;
    const mistake = mistakeInContents(await Deno.readTextFile(path), kind);
    return mistake === undefined ? undefined : `${path} ${mistake}`;
  } catch (error) {
    if (kind === "credentials" && error instanceof Deno.errors.NotFound) return undefined;
    return `${path} ${reasonOf(error)}; expected ${expectedIn(kind)}`;
  }
}

async function mistakeInWayTo(path: string): Promise<string | undefined> {
  try {
    await realPathForWriting(path);
  } catch (error) {
    if (error instanceof ProtectedPathError) return error.message;
  }
  // The folder may be created later; any other problem is reported when the file is written.
  return undefined;
}

/**
 * Returns why TLS cannot use this certificate with this key (both PEM files), as one sentence, or
 * undefined if it can.
 */
export async function mistakeInPair(certFile: string, keyFile: string): Promise<string | undefined> {
  try {
    checkClientCertificate(await Deno.readTextFile(certFile), await Deno.readTextFile(keyFile));
    return undefined;
  } catch (error) {
    if (error instanceof ClientCertificateError) return `${keyFile} cannot be used with ${certFile}: ${error.message}`;
    return `${keyFile} ${reasonOf(error)}; expected ${expectedIn("key")}`;
  }
}

/** Returns why a file could not be read, worded to follow its path. */
export function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "does not exist";
  if (error instanceof Deno.errors.PermissionDenied) return DENIED;
  if (error instanceof Deno.errors.NotCapable) return "is a file of the kernel, which Gilly may not read";
  if (error instanceof Deno.errors.IsADirectory) return "is a directory";
  return `cannot be read: ${error instanceof Error ? error.message : String(error)}`;
}

function expectedIn(kind: ReadKind): string {
  const expected: Record<ReadKind, string> = {
    certificate: "a PEM file with a certificate",
    key: "a PEM file with a private key",
    token: "a file that holds a token",
    credentials: "a file in the format of Docker's config.json",
  };
  return expected[kind];
}

function mistakeInContents(text: string, kind: ReadKind): string | undefined {
  switch (kind) {
    case "certificate":
      return mistakeInCertificate(text);
    case "key":
      return mistakeInKey(text);
    case "token":
      return mistakeInToken(text);
    case "credentials":
      return undefined;
  }
}

function mistakeInCertificate(text: string): string | undefined {
  if (text.trim() === "") return "is empty; expected a PEM certificate";
  const labels = pemBlocks(text).map(({ label }) => label);
  if (labels.includes("CERTIFICATE")) return damaged(text);
  if (labels.some(isKey)) return "holds a private key and no certificate; are certFile and keyFile swapped?";
  if (labels.includes("TRUSTED CERTIFICATE")) {
    return "holds a certificate in OpenSSL's own form: openssl x509 -in FILE -out NEW writes it in PEM";
  }
  return `holds no certificate in PEM (a block labeled CERTIFICATE)${wayToPem(text, "openssl x509 -inform der")}`;
}

function mistakeInKey(text: string): string | undefined {
  if (text.trim() === "") return "is empty; expected a PEM private key";
  const labels = pemBlocks(text).map(({ label }) => label);
  if (labels.includes("ENCRYPTED PRIVATE KEY") || /^Proc-Type: *4,ENCRYPTED/m.test(text)) {
    return "is encrypted; Gilly cannot prompt for a passphrase: decrypt it with openssl pkey";
  }
  if (labels.some(isKey)) return damaged(text);
  if (labels.includes("CERTIFICATE")) {
    return "holds a certificate and no private key; are certFile and keyFile swapped?";
  }
  return `holds no private key in PEM (a block labeled PRIVATE KEY)${wayToPem(text, "openssl pkey -inform der")}`;
}

/** The command that makes PEM of UTF-16 or DER (a SEQUENCE of two or more bytes of length). */
function wayToPem(text: string, fromDer: string): string {
  if (/^\ufffd\ufffd/.test(text) || /^-\0-\0/.test(text)) {
    return ": it is UTF-16, and iconv -f UTF-16 -t UTF-8 FILE >NEW converts it";
  }
  return /^0[\ufffd\u0080-\u009f]/.test(text) ? `: it is binary, and ${fromDer} -in FILE -out NEW converts DER` : "";
}

function isKey(label: string): boolean {
  return /^(?:RSA |EC )?PRIVATE KEY$/.test(label);
}

function damaged(text: string): string | undefined {
  const mistake = mistakeInBlocks(text);
  return mistake === undefined ? undefined : `is damaged: ${mistake}`;
}
