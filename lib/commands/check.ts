// `gilly check`: is this node ready? Everything a repair depends on, one line each.

import { openNode, openProcess } from "../app.ts";
import { checkNode } from "../check/checks.ts";
import { checkConfig, checkConfigText, type ConfigCheck } from "../check/config.ts";
import { openContext } from "../check/context.ts";
import { checkDaemon } from "../check/daemon.ts";
import { checkRenewal } from "../check/files/lent_files.ts";
import { type Finding, renderFindings, sanitize, worstOf } from "../check/finding.ts";
import { pluginResult } from "../check/nagios.ts";
import type { Config } from "../config/config.ts";
import { proxyStateFile } from "../status/state_file.ts";
import { systemClock } from "../support/clock.ts";
import { EXIT, UsageError } from "../support/errors.ts";
import { printableJson } from "../support/text.ts";
import type { Arguments, Command } from "./command_line.ts";
import { ignoredProxies, sizeOf } from "./environment.ts";
import { CONFIG_FLAG, configFileOf, JSON_FLAG, STATE_FILE_FLAG, stateFileOf } from "./flags.ts";

export const checkCommand: Command = {
  name: "check",
  summary: "is this node ready? config, kubelet, runtime, mirrors, daemon",
  description: [
    "Checks everything a repair depends on: the config and the files it names, the",
    "kubelet and its certificate, the container runtime, each mirror and its",
    "credentials (asked through Docker; where the runtime is containerd, directly),",
    "the images to keep, what this node cannot repair, the registry proxy where it is",
    "installed, and the daemon. Every line begins with ok, warn or fail; the next",
    "step is below it. Nothing is changed. If the daemon is not running, that comes",
    "first, and credentials that systemd loads for it are checked at their source.",
    "Run it as root: files that the user may not read are reported as not checked.",
    "With --syntax-only, only the text of the config is checked.",
    "",
    "Exit code: 0 if nothing fails (warnings are not failures), 1 if something does,",
    "78 if the config itself is refused, so that nothing else was checked.",
    "",
    "With --output nagios it is a monitoring plugin: one line, and the exit code is 0",
    "if all is well, 1 for a warning, 2 for a failure, a refused config included, and",
    "3 if it could not be checked: not as this user, or with a wrong command line.",
  ].join("\n"),
  example: "gilly check --config /etc/gilly/config.yaml",
  flags: [
    CONFIG_FLAG,
    { name: "syntax-only", help: "check only the text of the config: no other file, no node" },
    STATE_FILE_FLAG,
    { name: "files", help: "only the config and its files, as the service's next start reads them" },
    { name: "renewed", help: "the same, and fail if the service already runs with them" },
    {
      name: "output",
      value: "FORMAT",
      choices: ["text", "json", "nagios"],
      help: "text (the default), json, or nagios: one line for a monitoring system",
    },
    { ...JSON_FLAG, help: "the same as --output json" },
  ],
  async run(args, output) {
    const format = formatOf(args);
    const textAlone = args.flags["syntax-only"] === true;
    const ofRenewal = args.flags.renewed === true && !textAlone;
    const ofFiles = textAlone || ofRenewal || args.flags.files === true;
    const file = configFileOf(args);
    const checked = textAlone
      ? await checkConfigText(file)
      : await checkConfig(file, systemClock.wallTime(), { nextStart: ofFiles });
    const { config } = checked;
    const findings = [...checked.findings];
    if (ofRenewal && config !== undefined) findings.push(checkRenewal(checked.renewed));
    if (!ofFiles) {
      const stateFile = stateFileOf(args);
      if (config !== undefined) {
        findings.push(...await checkThisNode({ ...checked, config }, stateFile));
      }
      const daemon = await checkDaemon(stateFile, systemClock.wallTime());
      // A stopped daemon comes first: nothing is repaired until it runs, whatever else is wrong.
      if (worstOf(daemon) === "fail") findings.unshift(...daemon);
      else findings.push(...daemon);
    }
    if (format === "nagios") {
      const { line, code } = pluginResult(findings);
      output.write(line);
      return code;
    }
    const harmless = sanitize(findings);
    if (format === "json") output.write(`${printableJson(harmless, 2)}\n`);
    else output.write(renderFindings(harmless, sizeOf(Deno.stdout)?.columns));
    if (config === undefined) return EXIT.config;
    return worstOf(findings) === "fail" ? EXIT.failure : EXIT.ok;
  },
};

/** Throws UsageError for flags that contradict each other. */
function formatOf({ flags }: Arguments): string {
  const format = flags.output ?? (flags.json === true ? "json" : "text");
  if (flags.json === true && format !== "json") throw new UsageError(`--json conflicts with --output ${format}`);
  // A part of the answer would pass for the whole, and "not renewed" is no failure of the node.
  for (const name of ["syntax-only", "renewed"]) {
    if (format === "nagios" && flags[name] === true) {
      throw new UsageError(`--${name} does not check the node: --output nagios is for check alone or with --files`);
    }
  }
  return String(format);
}

/**
 * Returns whether argv asks for the monitoring plugin, even if the rest of it is wrong: then the failure is
 * the plugin's one line as well.
 */
export function asksForPlugin([command, ...rest]: readonly string[]): boolean {
  return command === checkCommand.name &&
    rest.some((word, index) => word === "--output=nagios" || (word === "nagios" && rest[index - 1] === "--output"));
}

async function checkThisNode(
  { config, ...options }: ConfigCheck & { readonly config: Config },
  stateFile: string,
): Promise<Finding[]> {
  const { signal } = new AbortController();
  // The findings already report what the log would.
  const process = openProcess(config, { signal, observers: [] });
  const node = await openNode(config, process, { ledger: false });
  try {
    const environment = { proxies: ignoredProxies(), proxyStateFile: proxyStateFile(stateFile) };
    return await checkNode(openContext(node, process, { ...options, ...environment, signal }));
  } finally {
    node.close();
  }
}
