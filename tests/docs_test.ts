import { assert, assertEquals } from "@std/assert";
import { generate } from "../docs/generate.ts";
import { readCommandLine } from "../lib/cli.ts";
import { COMMANDS } from "../lib/commands/mod.ts";
import { checkSettings } from "../lib/config_schema.ts";
import { parse } from "@std/yaml";

const PROJECT = new URL("../", import.meta.url);
const PAGES = ["README.md", "docs/operations.md", "docs/troubleshooting.md", "docs/security.md", "docs/monitoring.md"];
const read = (file: string) => Deno.readTextFileSync(new URL(file, PROJECT));

for (const [name, contents] of Object.entries(generate())) {
  Deno.test(`docs/${name} is what the schema and the commands say (deno task docs)`, () => {
    assertEquals(read(`docs/${name}`), contents);
  });
}

Deno.test("every gilly command line in the pages is one that the program takes", () => {
  let seen = 0;
  for (const page of PAGES) {
    for (const [, words = ""] of read(page).matchAll(/(?:^ {4}|`)(gilly(?: [^`\n]*)?)(?:`|$)/gm)) {
      const argv = words.replace(/#.*$/, "").trim().split(/\s+/).slice(1).filter((word) => word !== "…");
      if (argv.length === 0) continue;
      seen++;
      readCommandLine(argv, COMMANDS);
    }
  }
  assert(seen > 5, "the search finds the commands");
});

Deno.test("the config in the README is one that the schema takes", () => {
  const block = read("README.md").match(/\n {4}kubelet:\n(?: {4}.*\n|\n)+/)![0];
  const document = parse(block.replace(/^ {4}/gm, "")) as Record<string, unknown>;
  assertEquals(checkSettings(document).mistakes, []);
});

Deno.test("every file that a page links to is there", () => {
  for (const page of PAGES) {
    for (const [, link = ""] of read(page).matchAll(/\]\((?!https?:)([^)#]+)/g)) {
      assert(Deno.statSync(new URL(link, new URL(page, PROJECT))).isFile, `${page} links to ${link}`);
    }
  }
});
