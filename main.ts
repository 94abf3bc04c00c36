// Runs the command that argv names, and prints every failure in one place.

import { pluginUnknown } from "./lib/check/nagios.ts";
import { asksForPlugin } from "./lib/commands/check.ts";
import { readCommandLine } from "./lib/commands/command_line.ts";
import { ignoreProxies } from "./lib/commands/environment.ts";
import { underJournald } from "./lib/commands/flags.ts";
import { COMMANDS } from "./lib/commands/mod.ts";
import { ConfigError } from "./lib/config/config.ts";
import { describeError, EXIT, ReaderGoneError, UsageError } from "./lib/support/errors.ts";
import { printable } from "./lib/support/text.ts";

const output = {
  write(text: string): void {
    const bytes = new TextEncoder().encode(text);
    try {
      for (let written = 0; written < bytes.byteLength;) written += Deno.stdout.writeSync(bytes.subarray(written));
    } catch (error) {
      if (error instanceof Deno.errors.BrokenPipe) throw new ReaderGoneError("standard output was closed");
      throw new Error("cannot write to standard output", { cause: error });
    }
  },
};

async function main(argv: readonly string[]): Promise<number> {
  const request = readCommandLine(argv, COMMANDS);
  if ("help" in request) {
    output.write(request.help);
    return EXIT.ok;
  }
  return await request.command.run(request.args, output);
}

function fail(error: unknown): number {
  if (error instanceof ReaderGoneError) return EXIT.readerGone;
  if (asksForPlugin(Deno.args)) {
    // A monitoring system reads standard output alone, and takes 1 and 2 for findings.
    const { line, code } = pluginUnknown(describeError(error));
    try {
      output.write(line);
    } catch {
      // No one reads it; the exit code still reports the failure.
    }
    return code;
  }
  const lines = error instanceof ConfigError ? error.message : `gilly: ${describeError(error)}`;
  const priority = underJournald() ? "<3>" : "";
  const text = lines.split("\n").map((line) => `${priority}${printable(line)}\n`).join("");
  try {
    Deno.stderr.writeSync(new TextEncoder().encode(text));
  } catch {
    // No one reads standard error anymore; the exit code still reports the failure.
  }
  if (error instanceof ConfigError) return EXIT.config;
  return error instanceof UsageError ? EXIT.usage : EXIT.failure;
}

ignoreProxies();
Deno.exit(await main(Deno.args).catch(fail));
