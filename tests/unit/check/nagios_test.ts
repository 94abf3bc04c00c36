// Tests lib/check/nagios.ts: the line of a monitoring plugin and its exit code.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { AS_ROOT, fail, type Finding, ok, warn } from "../../../lib/check/finding.ts";
import { pluginResult, pluginUnknown } from "../../../lib/check/nagios.ts";

Deno.test("the most severe finding leads with its next step, and the others are counted", () => {
  const fine = [ok("config", "/c.yaml is valid"), ok("daemon", "Checked 12 pods 3 s ago: 0 repairing")];
  const slow = warn("mirror a", "answers slowly", "look at it");
  const denied = warn("kubelet.keyFile", "/k.key was not checked: cannot be read", AS_ROOT);
  const forbidden = fail("Docker socket", "no permission to open /s", `${AS_ROOT}; if the service cannot either: look`);
  const down = fail("kubelet", "does not answer: refused", "systemctl start kubelet");
  const tries: readonly (readonly [readonly Finding[], number, string])[] = [
    [
      fine,
      0,
      "OK - 2 checks ok; daemon: Checked 12 pods 3 s ago: 0 repairing | ok=2;;;0 warning=0;;;0 unknown=0;;;0 critical=0;;;0",
    ],
    [fine.slice(0, 1), 0, "OK - 1 check ok | ok=1;;;0 warning=0;;;0 unknown=0;;;0 critical=0;;;0"],
    [
      [...fine, slow],
      1,
      "WARNING - mirror a: answers slowly; next: look at it | ok=2;;;0 warning=1;;;0 unknown=0;;;0 critical=0;;;0",
    ],
    [
      [slow, denied, ...fine, slow],
      3,
      "UNKNOWN - kubelet.keyFile: /k.key was not checked: cannot be read; next: run it as root: sudo gilly check " +
      "(also 2 warning) | ok=2;;;0 warning=2;;;0 unknown=1;;;0 critical=0;;;0",
    ],
    [
      [slow, denied, down, fail("b", "c")],
      2,
      "CRITICAL - kubelet: does not answer: refused; next: systemctl start kubelet " +
      "(also 1 critical, 1 unknown, 1 warning) | ok=0;;;0 warning=1;;;0 unknown=1;;;0 critical=2;;;0",
    ],
    [
      [fail("config", "/c.yaml: cannot be read: permission denied", AS_ROOT)],
      3,
      "UNKNOWN - config: /c.yaml: cannot be read: permission denied; next: run it as root: sudo gilly check " +
      "| ok=0;;;0 warning=0;;;0 unknown=1;;;0 critical=0;;;0",
    ],
    [
      [forbidden, ...fine],
      3,
      "UNKNOWN - Docker socket: no permission to open /s; next: run it as root: sudo gilly check; if the service " +
      "cannot either: look | ok=2;;;0 warning=0;;;0 unknown=1;;;0 critical=0;;;0",
    ],
    [[], 3, "UNKNOWN - nothing was checked | ok=0;;;0 warning=0;;;0 unknown=0;;;0 critical=0;;;0"],
  ];
  for (const [findings, code, line] of tries) assertEquals(pluginResult(findings), { line: `GILLY ${line}\n`, code });
});

Deno.test("no text breaks the line, begins performance data, or leaves visible ASCII", () => {
  const odd = 'a|b\nc\r\nd\te\\nf \u001b[31m \u202e"…é|\u0000\u2028x';
  for (const made of [pluginResult([fail(odd, odd, odd)]), pluginResult([ok("daemon", odd)]), pluginUnknown(odd)]) {
    assertMatch(made.line, /^GILLY [A-Z]+ - [\x20-\x7e]*\n$/);
    assertEquals(made.line.replace(/ \| ok=.*\n$/, "").includes("|"), false, made.line);
    assert(!/\\[nrt]/.test(made.line), made.line);
  }
  assertEquals(pluginUnknown("a\n|b…").line, "GILLY UNKNOWN - a /b...\n");
});

Deno.test("a next step with a line of shell is not printed without its pipes", () => {
  const { line } = pluginResult([fail("a", "b", "make it: printf '%s' 'USER:PASSWORD' | base64 -w0")]);
  assertMatch(line, /^GILLY CRITICAL - a: b; next: see gilly check \|/);
});

Deno.test("the line stays below the 1,024 bytes of old receivers, whatever the findings say", () => {
  const long = `${"é…| ".repeat(2000)}end`;
  const findings = Array.from({ length: 999 }, () => [fail(long, long, long), warn(long, long, AS_ROOT)]).flat();
  for (const { line } of [pluginResult(findings), pluginUnknown(long)]) {
    assert(new TextEncoder().encode(line).length < 1000, String(line.length));
    assertMatch(line, /\.\.\./);
  }
});
