import { assertEquals, assertMatch } from "@std/assert";

Deno.test("the demo shows every pod that can be repaired run, and ends with 0", async () => {
  const main = new URL("demo/main.ts", import.meta.url).pathname;
  const command = new Deno.Command(Deno.execPath(), { args: ["run", "--allow-all", main] });
  const { code, stdout, stderr } = await command.output();
  const text = new TextDecoder().decode(stdout);
  assertEquals(code, 0, text + new TextDecoder().decode(stderr));
  const [before, after] = [text.slice(0, text.indexOf("Gilly's journal")), text.slice(text.lastIndexOf("After"))];
  const image = /^ {2}\S+ +\S+ +\S+ +(Running|ImagePullBackOff|ErrImagePull)/gm;
  const states = (part: string) => [...part.matchAll(image)].map(([, state]) => state === "Running");
  assertEquals(states(before), [false, false, false, true, false, false]);
  assertEquals(states(after), [true, true, true, true, true, false]);
  assertMatch(after, /\(expected: no rule\)$/m);
});
