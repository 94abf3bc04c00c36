// Compares texts that the program prints with golden files.

import { assertEquals } from "@std/assert";
import { PROJECT } from "../../tools/deno.ts";

/** Reports whether GOLDEN=write asks to write the golden files instead of comparing them. */
export function isRenewingGolden(): boolean {
  return Deno.env.get("GOLDEN") === "write";
}

/** Asserts that a text equals a file below tests/testdata/golden. */
export function assertGolden(text: string, file: string): void {
  const path = `${PROJECT}tests/testdata/golden/${file}`;
  if (isRenewingGolden()) Deno.writeTextFileSync(path, text);
  assertEquals(text, Deno.readTextFileSync(path), `${file} is not what is printed`);
}
