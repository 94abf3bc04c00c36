import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";

Deno.test("in the demo every repairable pod ends up running, and the exit code is 0", async () => {
  const main = new URL("main.ts", import.meta.url).pathname;
  const command = new Deno.Command(Deno.execPath(), { args: ["run", "--allow-all", main] });
  const { code, stdout, stderr } = await command.output();
  const text = new TextDecoder().decode(stdout);
  assertEquals(code, 0, text + new TextDecoder().decode(stderr));
  const [before, after] = [
    text.slice(0, text.indexOf("Gilly's journal")),
    text.slice(text.lastIndexOf("After"), text.indexOf("The registry proxy")),
  ];
  const image = /^ {2}(Running|ImagePullBackOff|ErrImagePull) +\S+\/\S+ +\S+$/gm;
  const states = (part: string) => [...part.matchAll(image)].map(([, state]) => state === "Running");
  assertEquals(states(before), [false, false, false, true, false, false]);
  assertEquals(states(after), [true, true, true, true, true, false]);
  assertMatch(after, / registry\.example\/legacy\/report:7 \(expected: no rule\)$/m);

  const proxied = text.slice(text.indexOf("The registry proxy"));
  assertEquals(states(proxied), [true, true]);
  for (const image of ["gcr.io/shop/search:latest", "gcr.io/shop/pay@sha256:"]) {
    assertStringIncludes(proxied.replace(/\n {6}/g, " "), `serving image: ${image}`);
  }

  assertEquals(text.split("\n").filter((line) => line.length > 80), []);
  // Lines are folded between words only: unfolded, the journal has every word complete.
  const journal = text.slice(text.indexOf("Gilly's journal"), text.lastIndexOf("After"));
  const whole = journal.replace(/\n {6}/g, " ");
  assertStringIncludes(
    whole,
    "[TagImage] tagged image: docker.repo.eng.netapp.com/platform/observability/node-probe:v1.4.2 " +
      "to quay.io/platform/observability/node-probe:v1.4.2\n",
  );
  const digests = [...journal.matchAll(/sha256:([0-9a-f]*)/g)].map(([, digits = ""]) => digits.length);
  assert(digests.length >= 4 && digests.every((length) => length === 64), `${digests}`);
});
