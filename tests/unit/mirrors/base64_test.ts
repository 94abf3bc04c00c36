// Tests lib/mirrors/base64.ts against the platform's own decoder.

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { decodeBase64 } from "../../../lib/mirrors/base64.ts";

Deno.test("every text comes back from its base64, with or without padding and line breaks", () => {
  fc.assert(fc.property(fc.string({ unit: "grapheme", maxLength: 200 }), (text) => {
    const base64 = new TextEncoder().encode(text).toBase64();
    assertEquals(decodeBase64(base64), text);
    assertEquals(decodeBase64(base64.replace(/=/g, "")), text);
    assertEquals(decodeBase64(` ${base64.replace(/(.{5})/g, "$1\r\n")}\n`), text);
  }));
});

Deno.test("a text is refused if and only if the platform refuses it", () => {
  const texts = fc.string({ unit: fc.constantFrom(..."Ab9+/=-_ %\u00e4"), maxLength: 9 });
  fc.assert(fc.property(texts, (text) => {
    let bytes: string | undefined;
    try {
      bytes = atob(text);
    } catch {
      // It is not base64.
    }
    // The platform wants the padding complete where there is any.
    if (!text.includes("=") || bytes !== undefined) assertEquals(decodeBase64(text) !== undefined, bytes !== undefined);
  }));
});

Deno.test("bytes that are not UTF-8 are replaced", () => {
  assertEquals(decodeBase64(btoa("user:p\xe4ss")), "user:p\ufffdss");
});
