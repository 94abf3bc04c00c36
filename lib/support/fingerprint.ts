// Tells whether a file on disk has changed, without reading it.

/** Differs once the file was replaced or written; two writes within one tick of the clock may look alike. Throws as stat. */
export async function fingerprintOf(file: string): Promise<string> {
  const { mtime, size, ino } = await Deno.stat(file);
  return `${file}:${ino}:${size}:${mtime?.getTime()}`;
}
