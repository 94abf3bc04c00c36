// `gilly explain`: what the rules make of an image, without asking anybody.

import type { Command, Output } from "../cli.ts";
import { loadConfig } from "../config.ts";
import { EXIT, UsageError } from "../errors.ts";
import { compileExclusions } from "../exclude.ts";
import { formatReference, InvalidReferenceError, parseReference } from "../image_ref.ts";
import { compileRules, matchRule, type RegistryMap } from "../registry_map.ts";
import { isRefusal, planImage } from "../repair_plan.ts";
import { CONFIG_FLAG, configFileOf, JSON_FLAG } from "./flags.ts";

/** What `explain --json` prints of each image. */
export interface Explanation {
  /** As it was given. */
  readonly image: string;
  /** Normalised, or null when it does not parse. */
  readonly reference: string | null;
  /** The origin of the rule that matches, or null. */
  readonly rule: string | null;
  /** Line of that rule in the config. */
  readonly line: number | null;
  /** Full references at the mirrors, in order. */
  readonly candidates: readonly string[];
  /** Set when it cannot be repaired. */
  readonly reason?: string;
  readonly advice?: string;
}

export const explainCommand: Command = {
  name: "explain",
  operands: "IMAGE…",
  summary: "which rule matches an image, and the candidates in order",
  description: [
    "Prints for each image its normalised reference, the rule of the config that matches it and the",
    "references that would be pulled, in order; or why it cannot be repaired. It asks nobody.",
  ].join("\n"),
  example: "gilly explain gcr.io/sgryczan/ansible-runner:0.0.0",
  flags: [CONFIG_FLAG, JSON_FLAG],
  async run(args, output) {
    if (args.words.length === 0) {
      throw new UsageError("gilly explain wants at least one IMAGE; see gilly explain --help");
    }
    const config = await loadConfig(configFileOf(args));
    const registries = compileRules(config.registries);
    const exclusions = compileExclusions(config.exclude);
    const explanations = args.words.map((image) =>
      explain(image, planImage(image, { registries, exclusions, imageStore: undefined }), registries)
    );
    if (args.flags.json === true) output.write(`${JSON.stringify(explanations, null, 2)}\n`);
    else for (const explanation of explanations) print(explanation, config.file, output);
    return EXIT.ok;
  },
};

function explain(image: string, planned: ReturnType<typeof planImage>, registries: RegistryMap): Explanation {
  if (!isRefusal(planned)) {
    const { rule, candidates } = planned;
    return {
      image,
      reference: formatReference(planned.reference),
      rule: rule.origin,
      line: rule.line ?? null,
      candidates: candidates.map((candidate) => candidate.reference),
    };
  }
  const { reason, advice } = planned;
  const reference = normalised(image);
  const match = reference === undefined ? undefined : matchRule(registries, reference).rule;
  return {
    image,
    reference: reference === undefined ? null : formatReference(reference),
    rule: match?.origin ?? null,
    line: match?.line ?? null,
    candidates: [],
    reason,
    advice,
  };
}

function normalised(image: string): ReturnType<typeof parseReference> | undefined {
  try {
    return parseReference(image);
  } catch (error) {
    if (error instanceof InvalidReferenceError) return undefined;
    throw error;
  }
}

function print(
  { image, reference, rule, line, candidates, reason, advice }: Explanation,
  file: string,
  output: Output,
) {
  output.write(`${image}\n`);
  if (reference !== null) output.write(`  reference   ${reference}\n`);
  if (rule !== null) output.write(`  rule        ${rule}${line === null ? "" : `  (${file}:${line})`}\n`);
  for (const [index, candidate] of candidates.entries()) {
    output.write(`  ${index === 0 ? "candidates" : "          "}  ${index + 1}. ${candidate}\n`);
  }
  if (reason !== undefined) output.write(`  ${reason}: ${advice}\n`);
}
