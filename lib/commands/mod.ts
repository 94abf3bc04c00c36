// The list of commands, in the order of the help.

import { checkCommand } from "./check.ts";
import type { Command } from "./command_line.ts";
import { explainCommand } from "./explain.ts";
import { exportCommand } from "./export.ts";
import { historyCommand } from "./history.ts";
import { onceCommand } from "./once.ts";
import { proxyCommand } from "./proxy.ts";
import { pullCommand } from "./pull.ts";
import { runCommand } from "./run.ts";
import { statusCommand } from "./status.ts";
import { versionCommand } from "./version.ts";

/** Every command of the program. */
export const COMMANDS: readonly Command[] = [
  runCommand,
  onceCommand,
  statusCommand,
  historyCommand,
  checkCommand,
  explainCommand,
  pullCommand,
  proxyCommand,
  exportCommand,
  versionCommand,
];
