// Writes the metrics to a file for node_exporter's textfile collector, so that no port is needed. A
// reader finds the old text or the new one, never a part.

import { describeError } from "../support/errors.ts";
import { removeFile, writeAtomically } from "../support/files.ts";

/** Thrown when the file cannot be written; the message names it. */
export class MetricsTextfileError extends Error {
  override name = "MetricsTextfileError";
}

/**
 * Writes `text` to `file`, readable by everyone whatever the umask, since the collector runs as
 * another user. The folder must exist and be writable. Throws MetricsTextfileError.
 */
export async function writeTextfile(file: string, text: string): Promise<void> {
  try {
    // The collector reads only names that end in .prom; the draft's does not.
    await writeAtomically(file, text, 0o644);
  } catch (error) {
    throw new MetricsTextfileError(`cannot write the metrics to ${file}: ${describeError(error)}`, { cause: error });
  }
}

/** Removes the file, since the collector would report its last values forever. It may be absent. */
export async function removeTextfile(file: string): Promise<void> {
  await removeFile(file).catch(() => {});
}
