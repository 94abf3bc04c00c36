// Parses the command line: argv to a command and its flags, or to help. Runs nothing.

import { parseArgs } from "@std/cli/parse-args";
import { UsageError } from "../support/errors.ts";
import { nearestWord, quote, wrap } from "../support/text.ts";

/** A flag of a command. `value` names its argument; a flag without it is a switch. */
export interface Flag {
  readonly name: string;
  readonly value?: string;
  /** The only words that the argument may be. */
  readonly choices?: readonly string[];
  readonly help: string;
}

/** The arguments of a command: flags by name, and the remaining words. */
export interface Arguments {
  readonly flags: Readonly<Record<string, string | boolean | undefined>>;
  readonly words: readonly string[];
}

/** A command: its help and what it runs. */
export interface Command {
  readonly name: string;
  /** One line, for the list of commands. */
  readonly summary: string;
  /** The operands in the usage line, such as `IMAGE…`. */
  readonly operands?: string;
  /** The only words that an operand may be, if there are such. */
  readonly operandChoices?: readonly string[];
  /** A few sentences, for the command's own help. */
  readonly description: string;
  readonly example: string;
  readonly flags: readonly Flag[];
  /** Runs the command; returns the exit code. */
  run(args: Arguments, output: Output): Promise<number>;
}

/** Standard output, for results. For log lines see lib/log/log.ts. */
export interface Output {
  write(text: string): void;
}

/** What argv requests: a command, or a text to print. */
export type Request = { readonly command: Command; readonly args: Arguments } | { readonly help: string };

/**
 * Columns of the narrowest terminal that the help supports; command texts are written to fit it.
 */
const HELP_WIDTH = 80;

const HELP: Flag = { name: "help", help: "print this help" };

/** Parses argv. Throws UsageError, which names the nearest command or flag. */
export function readCommandLine(argv: readonly string[], commands: readonly Command[]): Request {
  const [name, ...rest] = argv;
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    const subject = name === "help" && rest[0] !== undefined ? find(rest[0], commands) : undefined;
    return { help: subject === undefined ? overview(commands) : commandHelp(subject) };
  }
  if (name === "--version") return { command: find("version", commands), args: { flags: {}, words: [] } };
  if (name.startsWith("-")) throw new UsageError(`the command comes first: gilly COMMAND [FLAGS]; see gilly --help`);
  const command = find(name, commands);
  const args = readArguments(command, rest);
  return args.flags.help === true ? { help: commandHelp(command) } : { command, args };
}

function find(name: string, commands: readonly Command[]): Command {
  const command = commands.find((command) => command.name === name);
  if (command !== undefined) return command;
  throw new UsageError(
    `unknown command ${quote(name)}${nearest(name, commands.map((it) => it.name))}; see gilly --help`,
  );
}

function readArguments(command: Command, rest: readonly string[]): Arguments {
  const known = [...command.flags, HELP];
  const switches = known.filter((flag) => flag.value === undefined).map((flag) => flag.name);
  refuseValues(command, switches, rest);
  const parsed = parseArgs(rest, {
    boolean: switches,
    string: ["_", ...known.filter((flag) => flag.value !== undefined).map((flag) => flag.name)],
    alias: { h: "help" },
    unknown: (argument, key) => {
      if (key === undefined) return true;
      const name = argument.replace(/^-+/, "").replace(/=.*$/, "");
      const hint = nearest(name, known.map((flag) => flag.name), "--");
      throw new UsageError(`unknown flag ${quote(argument)}${hint}; see gilly ${command.name} --help`);
    },
  });
  const { _: words, ...flags } = parsed;
  for (const flag of command.flags) {
    if (flag.value !== undefined && flag.name in flags) checkValue(flag, flags, command);
  }
  if (command.operands === undefined && words.length > 0) {
    throw new UsageError(
      `gilly ${command.name}: unexpected argument ${quote(String(words[0]))}; see gilly ${command.name} --help`,
    );
  }
  return { flags: flags as Arguments["flags"], words: words.map(String) };
}

function checkValue(
  { name, value, choices }: Flag,
  flags: Readonly<Record<string, unknown>>,
  command: Command,
): void {
  const given = flags[name];
  if (typeof given !== "string" || given === "") {
    throw new UsageError(`--${name} requires one ${value}; see gilly ${command.name} --help`);
  }
  if (choices === undefined || choices.includes(given)) return;
  const hint = nearest(given, choices);
  throw new UsageError(`invalid --${name} ${quote(given)}${hint || ";"} expected one of ${choices.join(", ")}`);
}

// The parser accepts any text after a switch's "=" as true.
function refuseValues(command: Command, switches: readonly string[], rest: readonly string[]): void {
  const end = rest.indexOf("--");
  for (const word of end < 0 ? rest : rest.slice(0, end)) {
    const name = /^--([^=]+)=/.exec(word)?.[1];
    if (name !== undefined && switches.includes(name)) {
      throw new UsageError(`--${name} takes no value; see gilly ${command.name} --help`);
    }
  }
}

function overview(commands: readonly Command[]): string {
  return [
    "Gilly repairs pods whose image cannot be pulled: it pulls the image through a",
    "mirror and gives it the name that the pod asked for.",
    "",
    "Usage: gilly COMMAND [FLAGS]",
    "",
    ...inTwoColumns(commands.map(({ name, operands = "", summary }) => [`${name} ${operands}`.trimEnd(), summary])),
    "",
    "Run gilly COMMAND --help for details and an example.",
    "",
  ].join("\n");
}

function commandHelp({ name, operands, description, example, flags }: Command): string {
  const spell = (flag: Flag) => `--${flag.name}${flag.value === undefined ? "" : ` ${flag.value}`}`;
  return [
    `Usage: gilly ${name}${operands === undefined ? "" : ` ${operands}`} [FLAGS]`,
    "",
    description,
    "",
    ...inTwoColumns([...flags, HELP].map((flag) => [spell(flag), flag.help])),
    "",
    "Example:",
    `  ${example}`,
    "",
  ].join("\n");
}

/** Formats names and texts in two columns, with the texts wrapped in theirs. */
function inTwoColumns(rows: readonly (readonly [name: string, text: string])[]): string[] {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.flatMap(([name, text]) =>
    wrap(text, HELP_WIDTH - width - 4).map((line, index) => `  ${(index === 0 ? name : "").padEnd(width)}  ${line}`)
  );
}

function nearest(name: string, known: readonly string[], prefix = ""): string {
  const meant = nearestWord(name, known);
  return meant === undefined ? "" : `, did you mean ${prefix}${meant}?`;
}
