// `gilly once`: a single pass and its repairs, or only the plan.

import { openNode, openProcess } from "../app.ts";
import { namePods } from "../log/messages.ts";
import { pass, survey } from "../pass.ts";
import type { Plan } from "../plan/plan.ts";
import { EXIT } from "../support/errors.ts";
import { printable, printableJson } from "../support/text.ts";
import type { Command, Output } from "./command_line.ts";
import { ShutdownSignal } from "./environment.ts";
import { CONFIG_FLAG, JSON_FLAG, loadConfigHere } from "./flags.ts";

export const onceCommand: Command = {
  name: "once",
  summary: "one pass over this node's pods, then exit",
  description: [
    "Runs one pass of the daemon and waits for the repairs it started. With --dry-run",
    "nothing is pulled or tagged; the plan is printed.",
    "",
    "Exit code: 0 if every repair succeeded or none was needed (an image that cannot",
    "be repaired is not a failed repair), 1 if the kubelet did not list its pods or a",
    "repair failed.",
  ].join("\n"),
  example: "gilly once --dry-run",
  flags: [CONFIG_FLAG, { name: "dry-run", help: "print the plan; change nothing" }, JSON_FLAG],
  async run(args, output) {
    const config = await loadConfigHere(args, "once");
    using stop = new ShutdownSignal();
    const process = openProcess(config, { signal: stop.signal });
    const dryRun = args.flags["dry-run"] === true;
    const node = await openNode(config, process, { ledger: !dryRun });
    try {
      if (dryRun) {
        const { plan } = await survey(node, process, stop.signal);
        printPlan(plan, args.flags.json === true, output);
        return EXIT.ok;
      }
      await pass(node, process, stop.signal);
      await process.settled();
      return process.repairs.failed > 0 || stop.signal.aborted ? EXIT.failure : EXIT.ok;
    } finally {
      node.close();
    }
  },
};

function printPlan(plan: Plan, json: boolean, output: Output): void {
  if (json) {
    output.write(`${printableJson(planAsJson(plan), 2)}\n`);
    return;
  }
  if (plan.repairs.length === 0 && plan.skips.length === 0) output.write("Nothing to repair.\n");
  const write = (line: string) => output.write(`${printable(line)}\n`);
  for (const { image, candidates, failures } of plan.repairs) {
    write(`repair  ${image} for ${namePods(failures)}`);
    for (const { reference } of candidates) write(`          from ${reference}`);
  }
  for (const { failure, reason, advice } of plan.skips) {
    write(`skip    ${failure.image} for ${namePods([failure])}: ${reason}: ${advice}`);
  }
}

function planAsJson(plan: Plan): unknown {
  return {
    repairs: plan.repairs.map(({ image, name, rule, candidates, failures }) => ({
      image,
      reference: name,
      rule: rule.origin,
      candidates: candidates.map((candidate) => candidate.reference),
      containers: failures.map(({ pod, container, reason }) => ({
        namespace: pod.namespace,
        pod: pod.name,
        container,
        waitingReason: reason,
      })),
    })),
    skips: plan.skips.map(({ failure: { pod, container, image, reason: waitingReason }, reason, advice }) => ({
      image,
      namespace: pod.namespace,
      pod: pod.name,
      container,
      waitingReason,
      reason,
      advice,
    })),
  };
}
