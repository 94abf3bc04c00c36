// Texts that the program prints, kept as files that can be read and compared.

import { assertEquals } from "@std/assert";
import { PROJECT } from "../../tools/deno.ts";

/** Holds a text to a file below tests/testdata/golden; with GOLDEN=write in the environment it writes the file. */
export function assertGolden(text: string, file: string): void {
  const path = `${PROJECT}tests/testdata/golden/${file}`;
  if (Deno.env.get("GOLDEN") === "write") Deno.writeTextFileSync(path, text);
  assertEquals(text, Deno.readTextFileSync(path), `${file} is not what is printed`);
}
