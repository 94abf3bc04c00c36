// Tests lib/commands/command_line.ts: accepted command lines, and what a refusal suggests.

import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { type Arguments, type Command, readCommandLine } from "../../../lib/commands/command_line.ts";
import { COMMANDS } from "../../../lib/commands/mod.ts";
import { UsageError } from "../../../lib/support/errors.ts";

const SWITCHES = { help: false, h: false };

function command(name: string, more: Partial<Command> = {}): Command {
  return {
    name,
    summary: `${name}s things`,
    description: `It ${name}s.`,
    example: `gilly ${name}`,
    flags: [{ name: "config", value: "FILE", help: "the config" }, { name: "json", help: "print JSON" }],
    run: () => Promise.reject(new Error("nothing is run here")),
    ...more,
  };
}

const SAMPLE = [command("run"), command("explain", { operands: "IMAGE…" }), command("version")];

function read(...argv: string[]): { name: string } & Arguments {
  const request = readCommandLine(argv, SAMPLE);
  assert("command" in request, "a help text instead of a command");
  return { name: request.command.name, ...request.args };
}

function help(argv: readonly string[], commands: readonly Command[] = SAMPLE): string {
  const request = readCommandLine(argv, commands);
  assert("help" in request, "a command instead of a help text");
  return request.help;
}

/** Argv, the flags that differ from their defaults, and the operands. */
const UNDERSTOOD: readonly (readonly [readonly string[], Arguments["flags"], readonly string[]])[] = [
  [["run"], {}, []],
  [["run", "--config", "a.yaml"], { config: "a.yaml" }, []],
  [["run", "--config=a.yaml"], { config: "a.yaml" }, []],
  [["run", "--config=a=b"], { config: "a=b" }, []],
  [["run", "--config", "5"], { config: "5" }, []],
  [["run", "--config", "0x10"], { config: "0x10" }, []],
  [["run", "--config", "true"], { config: "true" }, []],
  [["run", "--config", "a", "--config", "b"], { config: "b" }, []],
  [["run", "--json"], { json: true }, []],
  [["run", "--json", "--json"], { json: true }, []],
  [["run", "--json", "--config", "a"], { json: true, config: "a" }, []],
  [["run", "--"], {}, []],
  [["explain"], {}, []],
  [["explain", "a", "b", "a"], {}, ["a", "b", "a"]],
  [["explain", "--json", "a"], { json: true }, ["a"]],
  [["explain", "a", "--json", "b"], { json: true }, ["a", "b"]],
  [["explain", "5", "007", "1e3", "0x10", "1.50"], {}, ["5", "007", "1e3", "0x10", "1.50"]],
  [["explain", "a", "--", "--json", "-x", "--bogus"], {}, ["a", "--json", "-x", "--bogus"]],
  [["explain", "--json", "--", "5", "--json=5"], { json: true }, ["5", "--json=5"]],
  [["explain", "", "-", "run"], {}, ["", "-", "run"]],
  [["explain", "a=b", "__proto__"], {}, ["a=b", "__proto__"]],
];

for (const [argv, flags, words] of UNDERSTOOD) {
  Deno.test(`gilly ${argv.map((word) => word || '""').join(" ")} is understood`, () => {
    assertEquals(read(...argv), { name: argv[0]!, flags: { json: false, ...SWITCHES, ...flags }, words });
  });
}

/** Argv, and a part of the message. */
const REFUSED: readonly (readonly [readonly string[], string])[] = [
  [["rnu"], 'unknown command "rnu", did you mean run?; see gilly --help'],
  [["Run"], 'unknown command "Run", did you mean run?; see gilly --help'],
  [["explian"], 'unknown command "explian", did you mean explain?; see gilly --help'],
  [["foo"], 'unknown command "foo"; see gilly --help'],
  [["__proto__"], 'unknown command "__proto__"; see gilly --help'],
  [[""], 'unknown command ""'],
  [["help", "rnu"], 'unknown command "rnu", did you mean run?'],
  [["--json", "run"], "the command comes first: gilly COMMAND [FLAGS]; see gilly --help"],
  [["-v"], "the command comes first"],
  [["--"], "the command comes first"],
  [["run", "--cofnig", "a"], 'unknown flag "--cofnig", did you mean --config?; see gilly run --help'],
  [["run", "--conf=a"], 'unknown flag "--conf=a", did you mean --config?'],
  [["run", "--jsn"], 'unknown flag "--jsn", did you mean --json?'],
  [["run", "--no-json"], 'unknown flag "--no-json"'],
  [["run", "--verbose"], 'unknown flag "--verbose"; see gilly run --help'],
  [["run", "-x"], 'unknown flag "-x"; see gilly run --help'],
  [["explain", "-5"], 'unknown flag "-5"'],
  [["run", "--config.x=a"], 'unknown flag "--config.x=a"'],
  [["run", "--__proto__=a"], 'unknown flag "--__proto__=a"'],
  [["run", "--constructor"], 'unknown flag "--constructor"'],
  [["run", "--config"], "--config requires one FILE; see gilly run --help"],
  [["run", "--config="], "--config requires one FILE"],
  [["run", "--config", ""], "--config requires one FILE"],
  [["run", "--config", "--json"], "--config requires one FILE"],
  [["run", "--config", "a", "--config"], "--config requires one FILE"],
  [["run", "--json=maybe"], "--json takes no value; see gilly run --help"],
  [["run", "--json=false"], "--json takes no value"],
  [["run", "--json="], "--json takes no value"],
  [["run", "fast"], 'gilly run: unexpected argument "fast"; see gilly run --help'],
  [["run", "5"], 'gilly run: unexpected argument "5"'],
  [["run", "--", "--json"], 'gilly run: unexpected argument "--json"'],
];

for (const [argv, message] of REFUSED) {
  Deno.test(`gilly ${argv.map((word) => word || '""').join(" ")} is refused`, () => {
    const error = assertThrows(() => readCommandLine(argv, SAMPLE), UsageError);
    assertStringIncludes(error.message, message);
  });
}

Deno.test("a word that resembles no command gets no hint", () => {
  for (const name of ["foo", "status", "x", "kubectl", "9".repeat(500)]) {
    const error = assertThrows(() => readCommandLine([name], SAMPLE), UsageError);
    assert(!error.message.includes("did you mean"), error.message);
  }
});

Deno.test("a word of a megabyte is shortened in the error", () => {
  const word = "x".repeat(2 ** 20);
  for (const argv of [["run", word], ["run", `--${word}`]]) {
    assert(assertThrows(() => readCommandLine(argv, SAMPLE), UsageError).message.length < 300);
  }
});

Deno.test("the overview is printed if no command is given or help is requested", () => {
  const overview = help([]);
  for (const argv of [["--help"], ["-h"], ["help"]]) assertEquals(help(argv), overview);
  for (const { name, summary } of SAMPLE) assertMatch(overview, new RegExp(`^  ${name} .*${summary}$`, "m"));
});

Deno.test("a command's help is the same however it is requested", () => {
  const text = help(["explain", "--help"]);
  for (const argv of [["help", "explain"], ["explain", "-h"], ["explain", "a", "--json", "--help"]]) {
    assertEquals(help(argv), text);
  }
  assertEquals(
    text,
    [
      "Usage: gilly explain IMAGE… [FLAGS]",
      "",
      "It explains.",
      "",
      "  --config FILE  the config",
      "  --json         print JSON",
      "  --help         print this help",
      "",
      "Example:",
      "  gilly explain",
      "",
    ].join("\n"),
  );
});

Deno.test("--help after -- is an operand", () => {
  assertEquals(read("explain", "--", "--help").words, ["--help"]);
});

Deno.test("--version is the version command", () => {
  const { name, words } = read("--version");
  assertEquals([name, words], ["version", []]);
});

Deno.test("the overview lists every command exactly once", () => {
  const overview = help([], COMMANDS);
  for (const { name, summary } of COMMANDS) {
    assertEquals(overview.split("\n").filter((line) => new RegExp(`^  ${name}\\b`).test(line)).length, 1, name);
    assertStringIncludes(overview, summary);
  }
  assertEquals(new Set(COMMANDS.map(({ name }) => name)).size, COMMANDS.length);
});

for (const { name, example, summary, description, flags, operands } of COMMANDS) {
  Deno.test(`the help of gilly ${name} is complete, fits a terminal, and has a valid example`, () => {
    const text = help([name, "--help"], COMMANDS);
    for (const part of [description, `Example:\n  ${example}\n`]) assertStringIncludes(text, part);
    for (const flag of flags) {
      assertMatch(text, new RegExp(`^  --${flag.name}${flag.value ? ` ${flag.value}` : ""} +\\S`, "m"));
    }
    for (const line of [...text.split("\n"), ...help([], COMMANDS).split("\n")]) {
      assert(line.length <= 80, `too long: ${line}`);
    }
    assert(!summary.includes("\n") && !summary.endsWith("."), summary);

    const [program, ...argv] = example.split(" ");
    const request = readCommandLine(argv, COMMANDS);
    assertEquals([program, "command" in request && request.command.name], ["gilly", name]);
    assert(operands === undefined || ("command" in request && request.args.words.length > 0), "no operand is shown");
  });
}

Deno.test("a flag with choices takes one of them, and a refusal names the nearest or all", () => {
  const flags = [{ name: "output", value: "FORMAT", choices: ["text", "json", "nagios"], help: "the format" }];
  const read = (...argv: string[]) => readCommandLine(["check", ...argv], [command("check", { flags })]);
  const request = read("--output", "nagios");
  assertEquals("args" in request && request.args, { flags: { output: "nagios", ...SWITCHES }, words: [] });
  assertThrows(
    () => read("--output=nagois"),
    UsageError,
    'invalid --output "nagois", did you mean nagios? expected one of text, json, nagios',
  );
  assertThrows(
    () => read("--output", "x\ny"),
    UsageError,
    'invalid --output "x\\ny"; expected one of text, json, nagios',
  );
  assertThrows(() => read("--output"), UsageError, "--output requires one FORMAT; see gilly check --help");
});
