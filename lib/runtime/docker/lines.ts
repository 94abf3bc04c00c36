// Splits a stream of bytes into lines. Both streams of the Docker Engine, a pull's progress and the
// events, have one JSON object per line.

const NEWLINE = 0x0a;

/**
 * Yields the lines of a UTF-8 stream without their line feeds, wherever the chunks are split; the
 * last line needs no line feed. Throws the error from `tooLong` for a line of more than `limit`
 * bytes; errors of `stream` pass through.
 */
export async function* readLines(
  stream: AsyncIterable<Uint8Array>,
  limit: number,
  tooLong: () => Error,
): AsyncGenerator<string, void, undefined> {
  let pieces: Uint8Array[] = [];
  let size = 0;
  const keep = (piece: Uint8Array) => {
    size += piece.byteLength;
    if (size > limit) throw tooLong();
    pieces.push(piece);
  };
  for await (const chunk of stream) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      keep(chunk.subarray(start, end));
      yield textOf(pieces);
      pieces = [];
      size = 0;
      start = end + 1;
    }
    keep(chunk.subarray(start));
  }
  if (size > 0) yield textOf(pieces);
}

function textOf(pieces: readonly Uint8Array[]): string {
  const decoder = new TextDecoder();
  return pieces.map((piece) => decoder.decode(piece, { stream: true })).join("") + decoder.decode();
}
