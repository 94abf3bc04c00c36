// Checks that tools/lint_plugin.ts finds each forbidden use, and nothing else.

import { assertEquals } from "@std/assert";
import { PROJECT } from "../../tools/deno.ts";
import plugin from "../../tools/lint_plugin.ts";

function saidOf(source: string, file = "lib/plan/plan.ts"): string[] {
  return Deno.lint.runPlugin(plugin, PROJECT + file, source).map(({ message }) =>
    message.replace(/ is allowed .*/, "")
  );
}

/** A forbidden use, its name in the message, and a file in which it is allowed. */
const USES: readonly (readonly [source: string, name: string, allowed: string | undefined])[] = [
  ["main(Deno.args)", "Deno.args", "main.ts"],
  ["Deno.exit(1)", "Deno.exit", "main.ts"],
  ['Deno["exit"](1)', "Deno.exit", "main.ts"],
  ["Deno.exitCode = 1", "Deno.exitCode", "main.ts"],
  ['Deno.env.get("HOME")', "Deno.env", "lib/commands/run.ts"],
  ['Deno.addSignalListener("SIGINT", a)', "Deno.addSignalListener", "lib/commands/run.ts"],
  ['Deno.removeSignalListener("SIGINT", a)', "Deno.removeSignalListener", "lib/commands/run.ts"],
  ["Deno.createHttpClient({})", "Deno.createHttpClient", "lib/runtime/docker/connection.ts"],
  ["Deno.listenDatagram({})", "Deno.listenDatagram", "lib/daemon/sd_notify.ts"],
  ["Deno.listen({})", "Deno.listen", "lib/support/http/server.ts"],
  ["Deno.serve({})", "Deno.serve", undefined],
  ['new Deno.Command("docker")', "Deno.Command", undefined],
  ["const { env } = Deno", "Deno without a member", undefined],
  ["const now = Date.now", "Date.now", "lib/support/clock.ts"],
  ["a = new Date()", "new Date()", undefined],
  ["performance.now()", "performance.now", "lib/support/clock.ts"],
  ["Math.random()", "Math.random", "lib/app.ts"],
  ["crypto.randomUUID()", "crypto.randomUUID", "lib/app.ts"],
  ["crypto.getRandomValues(a)", "crypto.getRandomValues", "lib/app.ts"],
  ["await fetch(url)", "fetch", "lib/support/http/client.ts"],
  ["a = { fetch }", "fetch", "lib/support/http/client.ts"],
  ["a(`b ${await fetch(c)}`)", "fetch", "lib/support/http/client.ts"],
  ["console.log(1)", "console", undefined],
  ['send({ method: "DELETE" })', "a DELETE request", "lib/runtime/docker/events.ts"],
  ["send(`delete ${a}`)", "a DELETE request", "lib/runtime/docker/events.ts"],
  ['say("the Docker Engine does not answer")', "Docker", "lib/runtime/docker/advice.ts"],
  ["say(`${a} of this Engine`)", "Docker", "lib/export/model.ts"],
];

for (const [source, name, allowed] of USES) {
  Deno.test(`${source} is ${name}`, () => {
    assertEquals(saidOf(source), [name]);
    assertEquals(saidOf(`// ${source}`), []);
    assertEquals(saidOf(source, "tests/repo/layers.ts"), []);
    if (allowed !== undefined) assertEquals(saidOf(source, allowed), []);
  });
}

Deno.test("code that only looks like a forbidden use is accepted", () => {
  const innocent = [
    "a.fetch()",
    "a = { fetch: 1, console: 2 }",
    "class A { fetch() {} console = 1 }",
    "interface A { fetch: string; exit(): void }",
    "let a: Deno.FsFile",
    "Deno.errors.NotFound",
    "new Date(0)",
    "Math.max(1)",
    'a = "undeleted"',
    'a = "a file in the form of Docker\'s config.json"',
    'a = "docker.io"',
  ];
  assertEquals(innocent.map((source) => [source, saidOf(source)]), innocent.map((source) => [source, []]));
});
