// The metrics as a file of node_exporter's textfile collector: no port at all. A reader finds the old text or the new one,
// never half of one.

import { describeError } from "../support/errors.ts";
import { removeFile, writeAtomically } from "../support/files.ts";

/** The file cannot be written; the message names it. */
export class MetricsTextfileError extends Error {
  override name = "MetricsTextfileError";
}

/**
 * Puts `text` into `file`, readable by everybody whatever the umask, since the collector runs as somebody else. The folder
 * must exist and be writable. Throws MetricsTextfileError.
 */
export async function writeTextfile(file: string, text: string): Promise<void> {
  try {
    // The collector reads only names that end in .prom, which the draft's does not.
    await writeAtomically(file, text, 0o644);
  } catch (error) {
    throw new MetricsTextfileError(`cannot write the metrics to ${file}: ${describeError(error)}`, { cause: error });
  }
}

/** Takes the file away, since the collector would show its last numbers for ever. One that is not there is fine. */
export async function removeTextfile(file: string): Promise<void> {
  await removeFile(file).catch(() => {});
}
