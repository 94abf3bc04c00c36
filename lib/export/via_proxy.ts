// hosts.toml files that lead a runtime through the registry proxy of its own host: one for each
// registry of the rules, and `_default` for rules with a wildcard. The proxy then applies every rule,
// also those that the format cannot express. Pure.

import { comment, type Exported, type ExportInput, header, prepareRules, type ProxyEndpoint, urlOf } from "./model.ts";

/** The program that reads the files. */
interface Reader {
  readonly command: string;
  readonly root: string;
  readonly next: readonly string[];
}

const WHY = "Requests go to the registry proxy of this host, which applies the rules of that config. Where it has no " +
  "image, or does not run, the registry itself is asked, as without these files.";

/** Exports files that lead through the proxy; a rule is left out only if it never matches. */
export function exportViaProxy(input: ExportInput, proxy: ProxyEndpoint, reader: Reader): Exported {
  const { live, dead } = prepareRules(input.rules);
  const hosts = [...new Set(live.map(({ kind, host }) => kind === "host" ? host : ""))];
  const files = hosts.map((host) => {
    const path = `${reader.root}/${host === "" ? "_default" : host}/hosts.toml`;
    return { path, content: header(path, `${reader.command} --via-proxy`, input) + contents(host, proxy) };
  });
  const next = files.length === 0 ? [] : [
    "the registry proxy must run on this host: install.sh --proxy puts it there",
    ...reader.next,
  ];
  return { files, leftOut: dead, notes: [], next };
}

/** Without a `server` line, `_default` falls back to the registry that the image names. */
function contents(host: string, { address, certFile }: ProxyEndpoint): string {
  return [
    comment(WHY) + (host === "" ? "" : `server = "${urlOf(host)}"\n`),
    `[host."https://${address}"]`,
    '  capabilities = ["pull", "resolve"]',
    `  ca = ${JSON.stringify(certFile)}`,
    "",
  ].join("\n");
}
