// The manual pages of the programs that are shell scripts, made of what their --help prints.

import { VERSION } from "../lib/version.ts";
import { PROJECT } from "./deno.ts";

/** What each of them is for, in a few words. */
export const SCRIPTS = {
  "gilly-credentials": "get Gilly a client certificate for the kubelet of this host",
  "gilly-redirect": "lead the pulls of this host to the registry proxy, and back",
  "gilly-setup": "find what is particular to this host, and write it",
};

export type Script = keyof typeof SCRIPTS;

/** Returns what `SCRIPT --help` prints, without what it finds out when it runs. */
export function helpOf(script: Script): string {
  const own = textsOf(`systemd/${script}`);
  if (script !== "gilly-setup") return own[0]!;
  const [beginning = "", end = ""] = own;
  return beginning + textsOf("systemd/setup/arguments.sh")[0] + end;
}

// The texts between `cat <<'TEXT'` and TEXT.
function textsOf(file: string): string[] {
  const source = Deno.readTextFileSync(PROJECT + file);
  return [...source.matchAll(/^ *cat <<'TEXT'\n([^]*?)^TEXT$/gm)].map(([, text = ""]) => text);
}

/** Returns the page in section 8: the help as it is, below the headings that man(1) expects. */
export function manualOf(script: Script): string {
  const [usage = "", purpose = "", ...rest] = helpOf(script).trimEnd().split("\n\n");
  return `.\\" Made by "deno task docs".
.TH ${script.toUpperCase()} 8 "" "gilly ${VERSION}" "System Administration"
.SH NAME
${roff(script)} \\- ${SCRIPTS[script]}
.SH SYNOPSIS
.nf
${roff(usage.replace(/^Usage: |^ {7}/gm, ""))}
.fi
.SH DESCRIPTION
${roff(purpose)}
.PP
.nf
${roff(rest.join("\n\n"))}
.fi
.SH SEE ALSO
.BR gilly (8)
`;
}

/** Escapes text for roff: hyphens that can be copied, and no line that begins like a request. */
export function roff(text: string): string {
  return text.replace(/\\/g, "\\e").replace(/-/g, "\\-").replace(/…/g, "...").replace(/^([.'])/gm, "\\&$1");
}
