// Asks the shells themselves what they offer with the generated completions. That those are current is
// tested in docs_test.ts.

import { assertEquals } from "@std/assert";
import { COMMANDS } from "../../lib/commands/mod.ts";
import { PROJECT } from "../../tools/deno.ts";
import { inTemporaryFolder } from "../support/folder.ts";
import { notOnPath } from "../support/programs.ts";
import { testIfPossible } from "../support/requirements.ts";

/** What a shell offers at the end of a line: each word, and its description where the shell shows one. */
type Offers = ReadonlyMap<string, string>;

const SUMMARIES = new Map([...COMMANDS, { name: "help", summary: "print the help of a command" }]
  .map(({ name, summary }) => [name, summary]));

/** Lines, and the words that every shell offers at their end. */
const LINES: readonly (readonly [line: string, words: readonly string[]])[] = [
  ["gilly ", [...SUMMARIES.keys()]],
  ["gilly ch", ["check"]],
  ["gilly --", ["--help", "--version"]],
  ["gilly help ex", ["explain", "export"]],
  ["gilly check --out", ["--output"]],
  ["gilly check --output ", ["text", "json", "nagios"]],
  ["gilly check --output n", ["nagios"]],
  ["gilly export ", ["containerd", "docker", "registries.conf", "k3s"]],
  ["gilly export k3s --f", ["--force"]],
  ["gilly run --config FOLDER/con", ["config-1.yaml", "config-2.yaml"]],
  ["gilly export k3s --output FOLDER/s", ["some/"]],
  // A command's name as another's operand is not that command.
  ["gilly explain check --o", []],
  ...COMMANDS.map(({ name, flags }) =>
    [`gilly ${name} --`, [...flags.map((flag) => `--${flag.name}`), "--help"]] as const
  ),
];

/** Runs a shell with the lines as its standard input, and returns what it printed for each. */
async function ask(program: string, args: readonly string[], folder: string): Promise<Offers[]> {
  const lines = LINES.map(([line]) => line.replace("FOLDER", folder));
  const child = new Deno.Command(program, {
    args: [...args],
    env: { HOME: folder, PATH: Deno.env.get("PATH")!, LANG: "C.UTF-8", TERM: "xterm" },
    clearEnv: true,
    cwd: folder,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(lines.map((line) => `${line}\n`).join("")));
  await writer.close();
  const { stdout, stderr } = await child.output();
  assertEquals(new TextDecoder().decode(stderr), "");
  const answers = new TextDecoder().decode(stdout).split(/^== .*\n/m).slice(1);
  assertEquals(answers.length, lines.length);
  return answers.map((answer) =>
    new Map(
      answer.split("\n").filter((it) => it !== "").map((offer) => {
        const [word = "", text = ""] = offer.split("\t");
        // zsh shows the word and its description in one text.
        const description = text.startsWith(word) ? text.slice(word.length).trim() : text;
        return [word.replace(`${folder}/`, ""), description] as const;
      }),
    )
  );
}

async function assertOffered(shell: string, args: (folder: string) => readonly string[]): Promise<Offers[]> {
  return await inTemporaryFolder(async (folder) => {
    await Deno.mkdir(`${folder}/some`);
    for (const name of ["config-1.yaml", "config-2.yaml"]) await Deno.writeTextFile(`${folder}/${name}`, "");
    const offers = await ask(shell, args(folder), folder);
    for (const [index, [line, words]] of LINES.entries()) {
      // Some shells offer the flags before a dash is typed, some only then; some end a folder with "/".
      const offered = [...offers[index]!.keys()].filter((word) => / -\S*$/.test(line) || !word.startsWith("-"));
      const plain = (word: string) => word.replace(/\/$/, "");
      assertEquals(offered.map(plain).toSorted(), words.map(plain).toSorted(), `${shell}: ${line}`);
    }
    return offers;
  });
}

/** Asserts that the commands have their summary and the flags their help. */
function assertDescribed(offers: readonly Offers[]): void {
  const summaries = [...offers[0]!].filter(([word]) => !word.startsWith("-"));
  assertEquals(Object.fromEntries(summaries), Object.fromEntries(SUMMARIES));
  for (const { name, flags } of COMMANDS) {
    const offered = offers[LINES.findIndex(([line]) => line === `gilly ${name} --`)]!;
    for (const flag of flags) assertEquals(offered.get(`--${flag.name}`), flag.help, `${name} --${flag.name}`);
  }
}

const BASH = `
  source "$1/docs/gilly.bash"
  while IFS= read -r line; do
    printf '== %s\\n' "$line"
    read -ra COMP_WORDS <<<"$line"
    [[ $line != *' ' ]] || COMP_WORDS+=('')
    COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)) COMPREPLY=()
    _gilly
    printf '%s\\n' "\${COMPREPLY[@]}"
  done`;

Deno.test("bash completes commands, flags, formats and files", async () => {
  await assertOffered("bash", () => ["--norc", "-c", BASH, "bash", PROJECT]);
});

const FISH = `
  source $argv[1]/docs/gilly.fish
  while read -l line
    echo "== $line"
    complete -C "$line"
  end`;

testIfPossible("fish completes the same, with descriptions", notOnPath(["fish"]), async () => {
  const offers = await assertOffered("fish", () => ["--no-config", "-c", FISH, PROJECT]);
  assertDescribed(offers);
});

testIfPossible("zsh completes the same, with descriptions", notOnPath(["zsh"]), async () => {
  const offers = await assertOffered("zsh", (folder) => {
    Deno.mkdirSync(`${folder}/.functions`);
    Deno.copyFileSync(`${PROJECT}docs/gilly.zsh`, `${folder}/.functions/_gilly`);
    return ["-f", `${PROJECT}tests/support/complete.zsh`, `${folder}/.functions`];
  });
  assertDescribed(offers);
});
