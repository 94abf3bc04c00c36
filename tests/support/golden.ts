// Texts that the program prints, kept as files that can be read and compared.

import { assertEquals } from "@std/assert";
import { PROJECT } from "../../tools/deno.ts";

/** Whether the files below tests/testdata/golden are to be written instead of compared: GOLDEN=write. */
export function isRenewingGolden(): boolean {
  return Deno.env.get("GOLDEN") === "write";
}

/** Holds a text to a file below tests/testdata/golden. */
export function assertGolden(text: string, file: string): void {
  const path = `${PROJECT}tests/testdata/golden/${file}`;
  if (isRenewingGolden()) Deno.writeTextFileSync(path, text);
  assertEquals(text, Deno.readTextFileSync(path), `${file} is not what is printed`);
}
