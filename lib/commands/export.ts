// `gilly export`: the rules as the permanent configuration of another runtime.

import type { Config } from "../config/config.ts";
import { type Format, FORMATS, isFormat } from "../export/formats.ts";
import { describeUnsupported, type Exported } from "../export/model.ts";
import { findAuthorities, writeFiles, type WrittenFile } from "../export/write.ts";
import { compileRules, mirrorHosts } from "../images/rules.ts";
import { EXIT, UsageError } from "../support/errors.ts";
import { nearestWord, printableJson, quote } from "../support/text.ts";
import type { Command } from "./command_line.ts";
import { CONFIG_FLAG, JSON_FLAG, readConfigText, warn } from "./flags.ts";

/** What `export --json` prints. */
export interface ExportReport extends Exported {
  readonly format: Format;
  /** Where the files were written; omitted without --output. */
  readonly placed?: readonly WrittenFile[];
}

/** The folders with the CAs of registries, the format's own first. */
const CERTIFICATE_FOLDERS: Readonly<Record<Format, readonly string[]>> = {
  containerd: ["/etc/containerd/certs.d", "/etc/docker/certs.d"],
  docker: ["/etc/docker/certs.d"],
  // Its readers search their own folder and Docker's automatically.
  "registries.conf": [],
  k3s: ["/etc/docker/certs.d"],
};

export const exportCommand: Command = {
  name: "export",
  operands: "FORMAT",
  operandChoices: Object.keys(FORMATS),
  summary: "the rules as the permanent fix of another runtime",
  description: [
    "Prints the rules of the config as complete files for a runtime that supports",
    "mirrors itself. FORMAT is one of:",
    "",
    "  containerd       certs.d/HOST/hosts.toml, for containerd 1.5 and later",
    "  docker           the same for Docker Engine 28 with the containerd image store",
    "  registries.conf  a drop-in file for podman, skopeo and CRI-O",
    "  k3s              registries.yaml, for k3s and RKE2",
    "",
    "What a format cannot express is reported on standard error and in the files;",
    "with --via-proxy the runtime asks the registry proxy, which has all rules.",
    "With --output the files are written below DIR as they would be below /; an",
    "existing file that differs is not overwritten, and files of earlier rules stay.",
  ].join("\n"),
  example: "gilly export containerd --output fix",
  flags: [
    CONFIG_FLAG,
    { name: "output", value: "DIR", help: "write the files below DIR instead" },
    { name: "via-proxy", help: "lead the runtime through the registry proxy (containerd, docker)" },
    { name: "force", help: "overwrite files there that differ" },
    JSON_FLAG,
  ],
  async run(args, output) {
    const format = formatOf(args.words);
    const folder = args.flags.output;
    if (args.flags.force === true && typeof folder !== "string") throw new UsageError("--force requires --output DIR");
    const viaProxy = args.flags["via-proxy"] === true;
    if (viaProxy && !VIA_PROXY.includes(format)) {
      throw new UsageError(`--via-proxy is for ${VIA_PROXY.join(" and ")}, got ${format}`);
    }
    const config = await readConfigText(args, "export");
    const exported = await exportConfig(config, format, viaProxy);
    if (exported.files.length === 0) {
      warnings(exported).forEach(warn);
      throw new Error(`no rule of ${config.file} can be expressed for ${format}`);
    }
    const placed = typeof folder === "string"
      ? await writeFiles(exported.files, folder, { force: args.flags.force === true })
      : undefined;
    if (args.flags.json === true) {
      const report: ExportReport = { format, ...exported, ...(placed && { placed }) };
      output.write(`${printableJson(report, 2)}\n`);
      return EXIT.ok;
    }
    if (placed === undefined) output.write(exported.files.map(({ content }) => content).join("\n"));
    else for (const { path, state } of placed) output.write(`${state.padEnd("overwritten".length)}  ${path}\n`);
    [...warnings(exported), ...exported.next.map((sentence) => `then: ${sentence}`)].forEach(warn);
    return EXIT.ok;
  },
};

function formatOf(words: readonly string[]): Format {
  const [word, second] = words;
  const known = Object.keys(FORMATS);
  const list = known.join(", ");
  if (word === undefined) throw new UsageError(`gilly export requires a FORMAT: ${list}; see gilly export --help`);
  if (!isFormat(word)) {
    const meant = nearestWord(word, known);
    const hint = meant === undefined ? "" : `, did you mean ${meant}?`;
    throw new UsageError(`unknown format ${quote(word)}${hint || ";"} expected one of ${list}`);
  }
  if (second !== undefined) {
    throw new UsageError(`gilly export: unexpected argument ${quote(second)}`);
  }
  return word;
}

/** The formats whose requests say which registry they are for. */
const VIA_PROXY: readonly Format[] = ["containerd", "docker"];

async function exportConfig(
  { file, registries, mirrors, exclude, proxy }: Config,
  format: Format,
  viaProxy: boolean,
): Promise<Exported> {
  return FORMATS[format]({
    rules: registries,
    source: file,
    withCredentials: Object.keys(mirrors).filter((host) => mirrors[host]?.authFile !== undefined),
    excluded: exclude.images,
    authorities: await findAuthorities(mirrorHosts(compileRules(registries)), CERTIFICATE_FOLDERS[format]),
    ...(viaProxy && {
      viaProxy: { address: `${proxy.listen.hostname}:${proxy.listen.port}`, certFile: proxy.certFile },
    }),
  });
}

function warnings({ leftOut, notes }: Exported): string[] {
  return [...leftOut.map(describeUnsupported), ...notes].map((sentence) => `warning: ${sentence}`);
}
