// gilly-redirect, killed at each command that changes something.

import { assert, assertEquals } from "@std/assert";
import { note } from "../scenarios/scenario.ts";
import { inOwnNetwork, missingForOwnNetwork } from "../support/own_network.ts";
import { leadsToProxy, redirectTest, sh, stateOfHost } from "../support/redirect_bench.ts";
import { missingForProgram } from "../support/requirements.ts";

/** Commands of the helper that change something. */
const CHANGING = ["cp", "mv", "rm", "mkdir", "rmdir", "cat", "chmod", "openssl", "iptables"];

/** Makes a folder with these commands; the one with that number (from 1) kills the helper instead. */
async function deadlyPath(folder: string, number: number): Promise<string> {
  const path = `${folder}/deadly-${number}`;
  await Deno.mkdir(path);
  await Deno.writeTextFile(`${path}/count`, "0\n");
  for (const command of CHANGING) {
    const real = (await sh(`command -v ${command}`)).out;
    const script = `#!/bin/sh
read -r count <${path}/count
count=$((count + 1))
echo $count >${path}/count
read -r _ _ _ _ _ session _ </proc/$$/stat
[ $count -ne ${number} ] || kill -9 "-$session" $$
exec ${real} "$@"
`;
    await Deno.writeTextFile(`${path}/${command}`, script, { mode: 0o755 });
  }
  return path;
}

const KILLED = 137;

const isNamed = async () => (await Deno.readTextFile("/etc/hosts")).includes("gcr.io");

const MISSING = [...missingForOwnNetwork(), ...missingForProgram()];
const HOLDS = "pulls are led to the proxy or not at all, and down leaves files, rules and addresses as they were";
const rowOf = (action: string) =>
  ({ subject: "redirect", what: `SIGKILL at each step of ${action}`, means: "real", holds: HOLDS }) as const;

if (MISSING.length > 0) {
  for (const action of ["up", "down"]) note({ ...rowOf(action), result: "not run", seconds: 0 });
}

inOwnNetwork(import.meta.url, MISSING, () => {
  for (const action of ["up", "down"]) {
    redirectTest(`${rowOf(action).what}: ${HOLDS}`, async (bench) => {
      const start = performance.now();
      let result: "passed" | "failed" = "failed";
      try {
        const before = await stateOfHost();
        await bench.redirect("prepare");
        await bench.startProxy();
        let steps = 0;
        for (let code = KILLED; code === KILLED;) {
          if (action === "down") assertEquals((await bench.redirect("up")).code, 0);
          const run = await bench.redirect(action, await deadlyPath(bench.folder, ++steps));
          code = run.code;
          assert(code === KILLED || code === 0, `step ${steps}: ${run.err}`);
          if (await isNamed()) assert(await leadsToProxy(), `${action} killed at step ${steps}`);
          assertEquals((await bench.redirect("down")).code, 0);
          assertEquals(await stateOfHost(), before, `${action} killed at step ${steps}`);
        }
        assert(steps > 10, `${steps} steps`);
        result = "passed";
      } finally {
        note({ ...rowOf(action), result, seconds: (performance.now() - start) / 1000 });
      }
    });
  }
});
