// Tests lib/support/scrub.ts: a secret is found in each form in which it may be quoted.

import { assertEquals, assertStrictEquals } from "@std/assert";
import { scrub, scrubError } from "../../../lib/support/scrub.ts";

const SECRET = 'hunter"22\u0001\nnext=line\ud800';

/** The forms in which a secret may be quoted. */
const FORMS: Readonly<Record<string, string>> = {
  "as it is": SECRET,
  "as JSON": JSON.stringify(SECRET).slice(1, -1),
  "as Go quotes it": 'hunter\\"22\\x01\\nnext=line\\ud800',
  "on one line": 'hunter"22 next=line\ud800',
  "in a URL": "hunter%2222%01%0Anext%3Dline%EF%BF%BD",
};

for (const [name, form] of Object.entries(FORMS)) {
  Deno.test(`a secret ${name} is removed, wherever it is`, () => {
    assertEquals(scrub(`${form} is not ${form}!`, [SECRET]), "… is not …!");
  });
}

Deno.test("a secret that is truncated with its text is also removed", () => {
  assertEquals(scrub("the password hunt…", ["hunter22"]), "the password …");
  assertEquals(scrub("the password hun…", ["hunter22"]), "the password hun…");
  assertEquals(scrub("hunt or be hunted", ["hunter22"]), "hunt or be hunted");
});

Deno.test("a secret that begins another leaves nothing of it, and short ones are ignored", () => {
  assertEquals(scrub("hunter22-and-more", ["hunter22", "hunter22-and-more"]), "…");
  assertEquals(scrub("a cat sat", ["cat", ""]), "a cat sat");
});

Deno.test("an error without the secret is unchanged, and one with it becomes its scrubbed message", () => {
  const harmless = new Error("no route", { cause: new Error("to host") });
  assertStrictEquals(scrubError(harmless, ["hunter22"]), harmless);
  const telling = new Error("no header", { cause: new TypeError('invalid value: "Bearer hunter22"') });
  const scrubbed = scrubError(telling, ["hunter22"]) as Error;
  assertEquals([scrubbed.message, scrubbed.cause], ['no header: invalid value: "Bearer …"', undefined]);
});
