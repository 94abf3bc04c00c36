// `gilly pull`: the daemon's repair for images named on the command line, with progress.

import { openNode, openProcess } from "../app.ts";
import type { Config } from "../config/config.ts";
import { LogMessages } from "../log/messages.ts";
import type { NodeContext, ProcessContext } from "../pass.ts";
import type { Outcome } from "../plan/outcome.ts";
import { isRefusal, planImage, type Refusal } from "../plan/plan.ts";
import { repair } from "../repair/repair.ts";
import { systemClock } from "../support/clock.ts";
import { EXIT, ReaderGoneError, UsageError } from "../support/errors.ts";
import { printable, printableJson } from "../support/text.ts";
import { sizeText, tookText } from "../support/units.ts";
import type { Command, Output } from "./command_line.ts";
import { ShutdownSignal, userName } from "./environment.ts";
import { CONFIG_FLAG, JSON_FLAG, readConfigText } from "./flags.ts";
import { PullScreen } from "./pull_screen.ts";

/** What `pull --json` prints for each image. */
export interface PullResult {
  /** The image as given. */
  readonly image: string;
  readonly result: "repaired" | "already-present" | "failed" | "refused";
  /** The normalized reference, or null if the image was refused. */
  readonly reference: string | null;
  readonly reason?: string;
  readonly message?: string;
  /** The reference that was pulled from the mirror. */
  readonly candidate?: string;
  readonly id?: string;
  readonly digest?: string;
  readonly bytes?: number;
  readonly seconds?: number;
}

export const pullCommand: Command = {
  name: "pull",
  operands: "IMAGE…",
  summary: "repair these images now, with progress",
  description: [
    "Repairs each IMAGE as the daemon repairs one that a pod waits for: pulls it from",
    "the first mirror that has it, tags it with its original name and checks that the",
    "name resolves. An image that is already present is left alone. On a terminal",
    "each layer has a progress bar; elsewhere progress is plain lines on standard",
    "error. The result is recorded in the ledger, with the name of the user.",
    "",
    "Exit code: 0 if every image is present afterwards, 1 if one is not, 130 after",
    "Ctrl-C, which stops the pulls and leaves no partial image.",
  ].join("\n"),
  example: "gilly pull gcr.io/sgryczan/ansible-runner:0.0.0",
  flags: [CONFIG_FLAG, { name: "plain", help: "plain lines, even on a terminal" }, JSON_FLAG],
  async run(args, output) {
    if (args.words.length === 0) throw new UsageError("gilly pull requires at least one IMAGE; see gilly pull --help");
    const json = args.flags.json === true;
    const config = await readConfigText(args, "pull");
    using stop = new ShutdownSignal();
    const screen = new PullScreen(Deno.stderr, { plain: args.flags.plain === true, quiet: json });
    // Entries with these tags report the outcome of an image, which is printed as its result.
    const toldAsResult = new Set(["Repair"]);
    const messages = new LogMessages((level, tag, text) => {
      if (!toldAsResult.has(tag) && (level === "warning" || level === "error")) screen.note(`${level}: ${text}`);
    }, systemClock.now);
    const user = await userName();
    const askedBy = `gilly pull${user === undefined ? "" : ` (${user})`}`;
    const process = openProcess(config, { signal: stop.signal, observers: [screen, messages], askedBy });
    const node = await openNode(config, process);
    toldAsResult.add(node.runtime.advice.short);
    const results: PullResult[] = [];
    const paper = new LastingOutput(output);
    try {
      await Promise.all([...new Set(args.words)].map(async (image) => {
        const result = await pullOne(image, node, process, stop.signal);
        results.push(result);
        screen.above(() => json || print(result, paper, screen));
      }));
    } catch (error) {
      if (stop.code === undefined) throw error;
      const missing = args.words.filter((word) => !results.some(({ image }) => image === word));
      screen.note(`interrupted: ${[...new Set(missing)].join(", ")} not repaired`);
      return stop.code;
    } finally {
      await process.settled();
      screen.close();
      node.close();
    }
    if (paper.gone !== undefined) throw paper.gone;
    if (json) output.write(`${printableJson(inOrder(args.words, results), 2)}\n`);
    return results.every(({ result }) => result === "repaired" || result === "already-present")
      ? EXIT.ok
      : EXIT.failure;
  },
};

/** An output whose reader may go away: pulls continue, and the error is kept until they end. */
class LastingOutput implements Output {
  readonly #output: Output;
  gone: ReaderGoneError | undefined;

  constructor(output: Output) {
    this.#output = output;
  }

  write(text: string): void {
    if (this.gone !== undefined) return;
    try {
      this.#output.write(text);
    } catch (error) {
      if (!(error instanceof ReaderGoneError)) throw error;
      this.gone = error;
    }
  }
}

async function pullOne(
  image: string,
  node: NodeContext<Config>,
  { observer, clock }: ProcessContext,
  signal: AbortSignal,
): Promise<PullResult> {
  const canAliasDigest = image.includes("@") ? await node.canAliasDigest(signal) : undefined;
  const target = planImage(image, { ...node, canAliasDigest, redirected: await node.redirectedHosts() });
  if (isRefusal(target)) return refused(image, target);
  const start = clock.now();
  const outcome = await repair(target, { ...node, observer, signal });
  const seconds = (clock.now() - start) / 1000;
  observer.finished?.({ repair: { ...target, failures: [] }, outcome, seconds });
  return resultOf(image, target.name, outcome, seconds);
}

function refused(image: string, { reason, advice }: Refusal): PullResult {
  return { image, result: "refused", reference: null, reason, message: advice };
}

function resultOf(image: string, reference: string, outcome: Outcome, seconds: number): PullResult {
  switch (outcome.result) {
    case "repaired": {
      const { candidate, id, digest, bytes } = outcome;
      const from = { candidate: candidate.reference, id, ...(digest === undefined ? {} : { digest }), bytes, seconds };
      return { image, result: "repaired", reference, ...from };
    }
    case "already-present":
      return { image, result: "already-present", reference, id: outcome.id };
    case "failed": {
      const reason = outcome.reason === undefined ? {} : { reason: outcome.reason };
      return { image, result: "failed", reference, ...reason, message: outcome.message, seconds };
    }
  }
}

function print(result: PullResult, output: Output, screen: PullScreen): void {
  const { image, candidate, bytes = 0, seconds = 0, digest, id = "", reason, message = "" } = result;
  const lines = (verdict: string, ...texts: readonly string[]) =>
    texts.map((text, index) => `${index === 0 ? `${verdict.padEnd(8)} ` : "        "}${printable(text)}\n`).join("");
  switch (result.result) {
    case "repaired": {
      const from = `from ${candidate}, ${sizeText(bytes)} in ${tookText(seconds)}`;
      return output.write(lines("repaired", image, from, digest ?? id));
    }
    case "already-present":
      return output.write(lines("present", image, id));
    case "failed":
    case "refused":
      screen.note(`${reason === undefined ? image : `${image}: ${reason}`}: ${message}`, "failed   ");
  }
}

function inOrder(words: readonly string[], results: readonly PullResult[]): PullResult[] {
  return [...new Set(words)].flatMap((word) => results.filter(({ image }) => image === word));
}
