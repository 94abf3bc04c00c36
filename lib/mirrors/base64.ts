// Decodes base64 (RFC 4648, section 4) of UTF-8 as credentials have it. Pure: text in, text out.

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/**
 * Returns the text, or undefined if this is not base64. White space is ignored and the padding may be
 * missing. Bytes that are not UTF-8 become U+FFFD, as in Docker's JSON.
 */
export function decodeBase64(base64: string): string | undefined {
  const [, digits] = /^([A-Za-z0-9+/]*)={0,2}$/.exec(base64.replace(/\s/g, "")) ?? [];
  if (digits === undefined || digits.length % 4 === 1) return undefined;
  const bytes: number[] = [];
  for (let at = 0, bits = 0, kept = 0; at < digits.length; at++) {
    kept = (kept << 6 | ALPHABET.indexOf(digits[at]!)) & 0xfff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push(kept >> bits & 0xff);
  }
  try {
    return decodeURIComponent(bytes.map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join(""));
  } catch {
    return bytes.map((byte) => byte < 0x80 ? String.fromCharCode(byte) : "\ufffd").join("");
  }
}
