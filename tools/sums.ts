// The files that vouch for a release: SHA256SUMS over its files, and an SSH signature of that
// (ssh-keygen(1), -Y), which both can be checked offline.

import { sha256Of } from "./pins.ts";

/** The list of the SHA-256 of each file, as `sha256sum -c` reads it. */
export const SUMS = "SHA256SUMS";

/** The signature of the list. */
export const SIGNATURE = `${SUMS}.sig`;

/** The namespace of the signature, so that one made for another purpose does not count. */
export const NAMESPACE = "gilly-release";

/** Thrown when a release cannot be signed; the message says why, and what to do. */
export class SigningError extends Error {
  override name = "SigningError";
}

/** Removes what vouched for an earlier release in this folder. */
export async function removeSums(directory: string): Promise<void> {
  for (const name of [SUMS, SIGNATURE]) {
    await Deno.remove(`${directory}/${name}`).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  }
}

/**
 * Writes SHA256SUMS over these files, which are all in `directory`, and returns its path. An older
 * list and its signature are removed.
 */
export async function writeSums(directory: string, files: readonly string[]): Promise<string> {
  await removeSums(directory);
  const names = files.map((file) => file.slice(file.lastIndexOf("/") + 1)).toSorted();
  let lines = "";
  for (const name of names) lines += `${await sha256Of(`${directory}/${name}`)}  ${name}\n`;
  await Deno.writeTextFile(`${directory}/${SUMS}`, lines);
  return `${directory}/${SUMS}`;
}

/** Throws SigningError unless there is a key at that path: the check before a long build. */
export async function checkKey(key: string): Promise<void> {
  const reason = await Deno.stat(key).then(({ isFile }) => isFile ? undefined : "it is not a file", (error) => {
    return error instanceof Deno.errors.NotFound ? "it does not exist" : String(error.message);
  });
  if (reason !== undefined) throw new SigningError(cannotSign(key, reason));
}

/**
 * Signs SHA256SUMS in `directory` with an SSH key: a private one, or a public one whose private half
 * is in ssh-agent. Returns what ssh-keygen says of the signature, which has the key's fingerprint.
 * Throws SigningError.
 */
export async function signSums(directory: string, key: string): Promise<string> {
  // ssh-keygen would ask before it overwrites the file, and succeed without a new signature.
  await Deno.remove(`${directory}/${SIGNATURE}`).catch(() => {});
  const sums = `${directory}/${SUMS}`;
  await sshKeygen(["-Y", "sign", "-n", NAMESPACE, "-f", key, sums], key);
  const check = ["-Y", "check-novalidate", "-n", NAMESPACE, "-s", `${directory}/${SIGNATURE}`];
  return await sshKeygen(check, key, await Deno.readFile(sums));
}

// A passphrase is asked for on the terminal, or by SSH_ASKPASS.
async function sshKeygen(args: readonly string[], key: string, input = new Uint8Array()): Promise<string> {
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command("ssh-keygen", { args: [...args], stdin: "piped", stdout: "piped", stderr: "piped" })
      .spawn();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new SigningError(cannotSign(key, "ssh-keygen is not on PATH; install OpenSSH 8.1 or later"));
  }
  const writer = child.stdin.getWriter();
  // A program that ends without reading its input has said why on standard error.
  await writer.write(input).then(() => writer.close()).catch(() => {});
  const { success, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  if (success) return text(stdout);
  throw new SigningError(cannotSign(
    key,
    `${text(stderr).split("\n").at(-1)}; expected a private key, or a public key whose private half is in ssh-agent`,
  ));
}

function cannotSign(key: string, reason: string): string {
  return `cannot sign the release with ${key}: ${reason}`;
}
