// The commands of docs/fleet.md on what `gilly check --json` prints, and the files of contrib.

import { assertEquals, assertMatch } from "@std/assert";
import { parse } from "@std/yaml";
import { checkSettings } from "../../lib/config/settings.ts";
import { PROJECT } from "../../tools/deno.ts";
import { run } from "../support/builds.ts";
import { inTemporaryFolder } from "../support/folder.ts";
import { blockBehind, readPage } from "../support/pages.ts";
import { notOnPath } from "../support/programs.ts";
import { testIfPossible } from "../support/requirements.ts";

const GOLDEN = `${PROJECT}tests/testdata/golden/check`;

// A cluster of four, each with the exit code of its gilly check; the last one cannot be reached.
const CLUSTER = `
cat >kubectl <<'TEXT'
#!/bin/sh
printf 'node/%s\\n' ready troubled refused away
TEXT
cat >ssh <<'TEXT'
#!/bin/sh
case $1,$2,$3,$4 in
  root@ready,gilly,check,--json) cat '${GOLDEN}/ready.json' ;;
  root@troubled,gilly,check,--json | worker-7,gilly,check,--json) cat '${GOLDEN}/troubled.json'; exit 1 ;;
  root@refused,gilly,check,--json) cat '${GOLDEN}/refused.json'; exit 78 ;;
  *) echo "no route to $1" >&2; exit 255 ;;
esac
TEXT
chmod +x kubectl ssh
PATH=$PWD:$PATH
`;

interface Finding {
  readonly name: string;
  readonly verdict: string;
  readonly message: string;
  readonly remedy?: string;
}

async function findings(name: string): Promise<Finding[]> {
  return JSON.parse(await Deno.readTextFile(`${GOLDEN}/${name}.json`));
}

function runBlock(words: string): Promise<string[]> {
  return inTemporaryFolder(async (cwd) => {
    const { out } = await run("sh", ["-c", CLUSTER + blockBehind(readPage("docs/fleet.md"), words)], { cwd });
    return out.trimEnd().split("\n");
  });
}

testIfPossible("the page's command for one worker prints what is not ok", notOnPath(["jq"]), async () => {
  const expected = (await findings("troubled")).filter(({ verdict }) => verdict !== "ok");
  assertEquals(
    await runBlock("`gilly check` asks everything"),
    expected.map(({ verdict, name, message }) => `${verdict} ${name}: ${message}`),
  );
});

testIfPossible("the page's loop prints every worker on which something fails, and why", notOnPath(["jq"]), async () => {
  const failing = async (worker: string) =>
    (await findings(worker)).filter(({ verdict }) => verdict === "fail").map(({ name, message, remedy }) =>
      `${worker}: ${name}: ${message}${remedy === undefined ? "" : `; ${remedy}`}`
    );
  const lines = await runBlock("The workers of the cluster on which something fails");
  assertEquals(lines, [
    ...await failing("troubled"),
    ...await failing("refused"),
    "away: gilly check did not run",
  ]);
});

Deno.test("the config in contrib/cloud-init is one that Gilly accepts", () => {
  const text = readPage("contrib/cloud-init/user-data.yaml");
  assertMatch(text, /^#cloud-config\n/);
  const { write_files: [file] } = parse(text) as { write_files: [{ path: string; content: string }] };
  assertEquals(file.path, "/etc/gilly/config.yaml");
  assertEquals(checkSettings(parse(file.content) as Record<string, unknown>).mistakes, []);
});

testIfPossible(
  "ansible-playbook understands the playbook and the inventory in contrib",
  notOnPath(["ansible-playbook"]),
  async () => {
    const { code, stderr } = await new Deno.Command("ansible-playbook", {
      args: ["--syntax-check", "--inventory", "inventory.yml", "site.yml"],
      cwd: `${PROJECT}contrib/ansible`,
      env: { LC_ALL: "C.UTF-8" },
    }).output();
    assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
  },
);

testIfPossible(
  "the playbook ends with the first worker if that fails, and leaves the others alone",
  notOnPath(["ansible-playbook"]),
  async () => {
    // The role's first task refuses it, before anything is asked or changed.
    const flags = ["--connection", "local", "--extra-vars", "gilly_state=neither ansible_become=false"];
    const { code, stdout } = await new Deno.Command("ansible-playbook", {
      args: ["--inventory", "inventory.yml", ...flags, "site.yml"],
      cwd: `${PROJECT}contrib/ansible`,
      env: { LC_ALL: "C.UTF-8", ANSIBLE_NOCOLOR: "1" },
    }).output();
    const out = new TextDecoder().decode(stdout);
    assertEquals(code, 2, out);
    assertMatch(out, /gilly_state is neither .*; expected present or absent/);
    assertEquals(out.split("PLAY RECAP")[1]!.match(/^worker\S+ .* failed=1 /gm)?.length, 1, out);
    assertEquals(out.match(/worker-\d+\.example/g)?.every((worker) => worker === "worker-01.example"), true, out);
  },
);
