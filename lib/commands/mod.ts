// The list of commands, in the order of the help.

import type { Command } from "../cli.ts";
import { explainCommand } from "./explain.ts";
import { onceCommand } from "./once.ts";
import { runCommand } from "./run.ts";
import { versionCommand } from "./version.ts";

/** Every command of the program. */
export const COMMANDS: readonly Command[] = [runCommand, onceCommand, explainCommand, versionCommand];
