// Tests lib/log/log.ts: one entry per line for any text, in both formats, with and without
// journald.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { configureLog, type Fields, type Level, log, type LogOptions } from "../../../lib/log/log.ts";
import { printable, printableJson } from "../../../lib/support/text.ts";

const LEVELS: readonly Level[] = ["debug", "info", "warning", "error"];

/** Returns the lines written while `say` runs. */
function linesOf(options: Partial<LogOptions>, say: () => void): string[] {
  const written: string[] = [];
  const write = (line: Uint8Array) => void written.push(new TextDecoder("utf-8", { fatal: true }).decode(line));
  configureLog({ level: "debug", format: "text", journald: true, write, ...options });
  try {
    say();
  } finally {
    configureLog({ level: "error", format: "text", journald: false, write: () => {} });
  }
  return written;
}

function lineOf(options: Partial<LogOptions>, tag: string, text: string, fields?: Fields): string {
  const lines = linesOf(options, () => log("info", tag, text, fields));
  assertEquals(lines.length, 1);
  return lines[0]!;
}

function jsonOf(text: string, fields?: Fields): Record<string, unknown> {
  return JSON.parse(lineOf({ format: "json", journald: false }, "Main", text, fields));
}

Deno.test("under journald a line has a syslog priority and no time", () => {
  const say = () => LEVELS.forEach((level) => log(level, "GetPods", "Pulled 12 running pods."));
  assertEquals(linesOf({}, say), [
    "<7>[GetPods]  Pulled 12 running pods.\n",
    "<6>[GetPods]  Pulled 12 running pods.\n",
    "<4>[GetPods]  Pulled 12 running pods.\n",
    "<3>[GetPods]  Pulled 12 running pods.\n",
  ]);
});

Deno.test("without journald a line has the local time and no priority", () => {
  assertMatch(
    lineOf({ journald: false }, "Main", "host: https://worker:10250"),
    /^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d \[Main\] {2}host: https:\/\/worker:10250\n$/,
  );
});

Deno.test("a tagged image has one space after its tag", () => {
  assertEquals(lineOf({}, "TagImage", "tagged image: a to b"), "<6>[TagImage] tagged image: a to b\n");
});

Deno.test("a JSON line is one object that holds the fields next to the message", () => {
  const { time, ...rest } = jsonOf("pulling image: a", { image: "a", bytes: 5, pods: ["x", "y"] });
  assertMatch(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assertEquals(rest, {
    level: "info",
    tag: "Main",
    message: "pulling image: a",
    image: "a",
    bytes: 5,
    pods: ["x", "y"],
  });
});

Deno.test("a JSON line under journald has a priority before the object", () => {
  assertMatch(lineOf({ format: "json" }, "Main", "text"), /^<6>\{.*"message":"text"\}\n$/);
});

for (const [index, level] of LEVELS.entries()) {
  Deno.test(`level ${level} passes entries that are at least as severe`, () => {
    const say = () => LEVELS.forEach((severity) => log(severity, "Main", severity));
    assertEquals(
      linesOf({ level }, say).map((line) => line.replace(/^.* {2}/, "").trim()),
      LEVELS.slice(index),
    );
  });
}

Deno.test("a later configuration replaces the earlier one", () => {
  const before = linesOf({}, () => {
    assertEquals(linesOf({ level: "error" }, () => log("info", "Main", "too mild")), []);
    log("error", "Main", "the first writer is no longer in force");
  });
  assertEquals(before, []);
});

/** Texts that a pod, a registry or Docker may send, and what the operator sees instead. */
const TEXTS: readonly (readonly [string, string, string])[] = [
  ["a newline", "first\nsecond", "first\\nsecond"],
  ["a Windows line ending", "first\r\nsecond", "first\\u000d\\nsecond"],
  ["a forged priority", "x\n<0>[Main]  all is lost", "x\\n<0>[Main]  all is lost"],
  ["a tab", "a\tb", "a b"],
  ["an escape code", "\u001b[31mred\u001b[0m", "\\u001b[31mred\\u001b[0m"],
  ["a bell and a backspace", "\u0007\b", "\\u0007\\u0008"],
  ["a NUL", "a\0b", "a\\u0000b"],
  ["a C1 control character", "a\u009b31mb\u0085c", "a\\u009b31mb\\u0085c"],
  ["a line separator", "a\u2028b\u2029c", "a\\u2028b\\u2029c"],
  ["a change of direction", "a\u202egpj.b\u2066c", "a\\u202egpj.b\\u2066c"],
  ["a placeholder", "{text} {fields} {0} {} {{x}}", "{text} {fields} {0} {} {{x}}"],
  ["a percent sign and a dollar", "%s %d ${text}", "%s %d ${text}"],
  ["letters of many scripts", "größer 漢字 ✓ 🚀", "größer 漢字 ✓ 🚀"],
  ["nothing", "", ""],
];

for (const [name, text, seen] of TEXTS) {
  Deno.test(`a text with ${name} is one readable line in both formats`, () => {
    assertEquals(lineOf({}, "Main", text), `<6>[Main]  ${seen}\n`);
    assertEquals(jsonOf(text).message, seen);
    assertEquals(jsonOf("text", { name: text, nested: { names: [text] } }).nested, { names: [seen] });
  });
}

Deno.test("above debug a text and its fields stay below 500 characters a line, and are once more in full at debug", () => {
  const long = "the mirror says so ".repeat(60).trim();
  const fields = { image: long, nested: [{ names: [long] }], seconds: 5 };
  for (const level of ["info", "warning", "error"] as const) {
    const [line, whole, ...others] = linesOf({}, () => log(level, "Repair", long, fields));
    assert(line!.length < 500, line);
    assertMatch(line!, /\] {2}the mirror says so .* (?:the|mirror|says|so)…\n$/);
    assertStringIncludes(whole!, `]  ${long}\n`);
    assertEquals(others, []);
    const json = linesOf({ format: "json", journald: false }, () => log(level, "Main", long, fields));
    const [brief, full] = json.map((it) => JSON.parse(it));
    assertEquals([brief.level, full.level], [level, "debug"]);
    assertEquals([full.message, full.image, full.nested], [long, long, fields.nested]);
    for (const text of [brief.message, brief.image, brief.nested[0].names[0]]) {
      assert(text.length <= 480 && long.startsWith(text.slice(0, -1)) && text.endsWith("…"), text);
    }
    assertEquals(brief.seconds, 5);
    assertEquals(linesOf({ level: "info" }, () => log(level, "Main", long, fields)).length, 1);
  }
  assertEquals(linesOf({}, () => log("debug", "Main", long)).length, 1);
});

Deno.test("a text of one megabyte is cut once and its length is given, in both formats", () => {
  const text = "x".repeat(2 ** 20);
  const seen = `${"x".repeat(2000)}… (1048576 characters)`;
  const debugOf = (options: Partial<LogOptions>) => linesOf(options, () => log("debug", "Main", text, { image: text }));
  assertEquals(debugOf({}), [`<7>[Main]  ${seen}\n`]);
  const { message, image } = JSON.parse(debugOf({ format: "json", journald: false })[0]!);
  assertEquals([message, image], [seen, seen]);
});

Deno.test("a text of exactly the maximum length is not cut", () => {
  assertEquals(printable("x".repeat(2000)), "x".repeat(2000));
});

Deno.test("a megabyte of control characters becomes a short line", () => {
  const lines = linesOf({ format: "json", journald: false }, () => log("info", "Main", "\u001b".repeat(2 ** 20)));
  assertEquals(lines.map((line) => line.length < 20_000), [true, true]);
});

Deno.test("a character that the cut would split is still valid text", () => {
  const [line] = linesOf({}, () => log("debug", "Main", "x".repeat(1999) + "🚀".repeat(10)));
  assertMatch(line!, /^<7>\[Main\] {2}x{1999}.… \(2019 characters\)\n$/u);
});

Deno.test("JSON for scripts keeps its values and contains nothing that acts on a terminal", () => {
  const value = { "a\u009b31m": ["\u001b[2J\u007f\u0085", "\u2028\u202egpj.exe\u2066", "ä→🐋"], b: 5 };
  for (const indent of [undefined, 2]) {
    const text = printableJson(value, indent);
    assertEquals(JSON.parse(text), value);
    // deno-lint-ignore no-control-regex
    assertEquals(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u202e\u2066]/.test(text), false);
    assert(text.includes("ä→🐋"));
  }
});
