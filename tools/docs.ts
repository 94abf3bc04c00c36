// Makes docs/configuration.md, docs/gilly.8 and docs/gilly.bash from the schema of the config and the list of commands, so
// that they cannot drift: `deno task docs` writes them, `deno task docs --check` (and a test) tells whether they are true.

import type { Command, Flag } from "../lib/commands/command_line.ts";
import { COMMANDS } from "../lib/commands/mod.ts";
import { SETTINGS } from "../lib/config/keys.ts";
import { type Key as DeclaredKey, keysOf } from "../lib/config/schema.ts";
import { checkSettings } from "../lib/config/settings.ts";
import { VERSION } from "../lib/version.ts";
import { PROJECT } from "./deno.ts";

/** File name in docs/ -> its contents. */
export function generate(): Record<string, string> {
  return {
    "configuration.md": configurationPage(),
    "gilly.8": manualPage(),
    "gilly.bash": bashCompletion(),
  };
}

interface Key extends DeclaredKey {
  readonly name: string;
  readonly accepts: string;
}

function keys(): Key[] {
  return [...keysOf(SETTINGS)].map((key) => ({ ...key, name: key.path.join("."), accepts: acceptedBy(key.path) }));
}

// The schema tells what it accepts by refusing what nothing accepts.
function acceptedBy(path: readonly string[]): string {
  const real = path.map((step) => step === "HOST" ? "mirror.example" : step);
  const document: Record<string, unknown> = {};
  let at = document;
  for (const [index, key] of real.entries()) at = (at[key] = index === real.length - 1 ? true : {}) as typeof at;
  const { mistakes } = checkSettings(document);
  const refusal = mistakes.find((mistake) => mistake.path.join() === real.join())?.message ?? "";
  const accepts = /^expected (.*), got true/.exec(refusal)?.[1];
  if (accepts === undefined) throw new Error(`the schema does not say what ${path.join(".")} accepts: ${refusal}`);
  return accepts;
}

function configurationPage(): string {
  const sections = keys().map(({ name, fallback, accepts, purpose }) => {
    const standard = fallback === undefined || (Array.isArray(fallback) && fallback.length === 0)
      ? ""
      : `; default \`${typeof fallback === "string" ? fallback : JSON.stringify(fallback)}\``;
    return `### \`${name}\`\n\n${purpose}\n\nExpects ${accepts}${standard}.\n`;
  });
  return `# Configuration

Gilly reads \`/etc/gilly/config.yaml\`, or the file that \`--config\` names. It is YAML; relative paths begin at its folder,
durations are written \`500ms\`, \`5s\`, \`5m\` or \`1h\`. Required are \`kubelet.url\`, the kubelet's credentials and
\`registries\`. A config with a mistake is refused whole: every mistake is listed as \`FILE:LINE: KEY: what is wrong\`, and the
exit code is 78. On a reload (\`systemctl reload gilly\`) a refused config leaves the old one in force.

This page is made from the schema by \`deno task docs\`.

${sections.join("\n")}`;
}

function manualPage(): string {
  const commands = COMMANDS.map((command) => {
    const operands = command.operands === undefined ? "" : ` \\fI${roff(command.operands)}\\fR`;
    return [
      `.SS gilly ${command.name}${operands}`,
      roff(command.description),
      ...command.flags.map(flagInManual),
      ".PP\nExample:\n.PP\n.RS 4\n.nf",
      roff(command.example),
      ".fi\n.RE",
    ].join("\n");
  });
  return `.\\" Made by tools/docs.ts.
.TH GILLY 8 "" "gilly ${VERSION}" "System Administration"
.SH NAME
gilly \\- repair Kubernetes pods whose image cannot be pulled
.SH SYNOPSIS
.B gilly
.I COMMAND
.RI [ FLAGS ]
.SH DESCRIPTION
One daemon per worker. It asks the kubelet of its own host for its pods, finds containers whose image cannot be pulled,
pulls that image through a mirror with the Docker Engine and gives it the name that the pod asked for; the kubelet then
starts the container. Nothing is ever deleted, and a name that exists is never moved.
.SH COMMANDS
${commands.join("\n")}
.SH SIGNALS
.TP
.B SIGHUP
Reads the config and the certificates again. A config with a mistake is refused, and the old one stays in force.
.TP
.BR SIGTERM ", " SIGINT
Ends the daemon, in the middle of a pull too.
.SH EXIT STATUS
.TP
.B 0
Success.
.TP
.B 1
Something failed, and standard error says what.
.TP
.B 2
The command line is wrong.
.TP
.B 3
\\fBgilly status\\fR found no running daemon.
.TP
.B 130
\\fBgilly pull\\fR was ended by Ctrl-C.
.TP
.B 78
The config was refused; systemd does not restart into it.
.TP
.B 141
Whoever read the output went away, as \\fBhead\\fR(1) does; nothing is said of it.
.SH FILES
.TP
.I /etc/gilly/config.yaml
The config.
.TP
.IR /etc/gilly/kubelet-client.crt ", " /etc/gilly/kubelet-client.key ", " /etc/gilly/kubelet-ca.crt
The credentials for the kubelet. \\fBgilly\\-credentials \\-\\-help\\fR says how to get and renew them.
.TP
.I /var/lib/gilly/ledger.jsonl
One JSON object a line about everything that was repaired or refused.
.TP
.I /run/gilly/state.json
What the running daemon knows; \\fBgilly status\\fR reads it.
.SH SEE ALSO
.BR systemctl (1),
.BR journalctl (1)
`;
}

function flagInManual({ name, value, help }: Flag): string {
  const operand = value === undefined ? "" : ` \\fI${roff(value)}\\fR`;
  return `.TP\n\\fB\\-\\-${roff(name)}\\fR${operand}\n${roff(help)}`;
}

/** Text as roff takes it: hyphens that can be copied, and no line that begins like a request. */
function roff(text: string): string {
  return text.replace(/\\/g, "\\e").replace(/-/g, "\\-").replace(/…/g, "...").replace(/^([.'])/gm, "\\&$1");
}

function bashCompletion(): string {
  const cases = COMMANDS.map((command) => `    ${command.name}) words="${flagsOf(command).join(" ")}" ;;`);
  return `# Bash completion of gilly. Made by tools/docs.ts.

_gilly() {
  local word=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]} words=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "${
    COMMANDS.map((command) => command.name).join(" ")
  } help --version" -- "$word")
    return
  fi
  case $previous in
    ${fileFlags().join(" | ")})
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
      return
      ;;
  esac
  case \${COMP_WORDS[1]} in
${cases.join("\n")}
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -o default -F _gilly gilly
`;
}

function flagsOf({ flags }: Command): string[] {
  return [...flags.map(({ name }) => `--${name}`), "--help"];
}

function fileFlags(): string[] {
  const named = COMMANDS.flatMap(({ flags }) => flags).filter(({ value }) => value === "FILE" || value === "DIR");
  return [...new Set(named.map(({ name }) => `--${name}`))];
}

if (import.meta.main) {
  const stale: string[] = [];
  for (const [name, contents] of Object.entries(generate())) {
    const file = `${PROJECT}docs/${name}`;
    if (await Deno.readTextFile(file).catch(() => "") === contents) continue;
    stale.push(`docs/${name}`);
    if (!Deno.args.includes("--check")) await Deno.writeTextFile(file, contents);
  }
  console.log(
    stale.length === 0 ? "docs are true" : `${Deno.args.includes("--check") ? "stale" : "written"}: ${stale}`,
  );
  if (Deno.args.includes("--check") && stale.length > 0) Deno.exit(1);
}
