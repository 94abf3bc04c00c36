import { assertEquals } from "@std/assert";
import { localTime, sizeText, spanText, tookText } from "../../../lib/support/units.ts";

Deno.test("sizes are printed in decimal units with one digit after the point", () => {
  const sizes = [0, 999, 1000, 12_345_678, 999_949, 999_950, 1.5e9, 2e15];
  assertEquals(sizes.map(sizeText), ["0 B", "999 B", "1.0 kB", "12.3 MB", "999.9 kB", "1.0 MB", "1.5 GB", "2000.0 TB"]);
});

Deno.test("spans are printed in the unit that a person would use", () => {
  const spans = [-5, 0.4, 3, 119.4, 120, 7199, 7200, 172_799, 172_800];
  assertEquals(spans.map(spanText), ["0 s", "0 s", "3 s", "119 s", "2 min", "120 min", "2 h", "48 h", "2 days"]);
});

Deno.test("long durations are printed in minutes", () => {
  assertEquals([0, 0.44, 59.94, 59.96, 245].map(tookText), ["0.0 s", "0.4 s", "59.9 s", "1 min 0 s", "4 min 5 s"]);
});

Deno.test("an invalid time is printed as it is", () => {
  assertEquals(localTime("soon"), "soon");
  assertEquals(localTime(new Date(2026, 10, 1, 1, 2, 3).toISOString()), "2026-11-01 01:02:03");
});
