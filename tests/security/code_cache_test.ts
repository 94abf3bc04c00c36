// A code cache that V8 keeps between runs would be where every user can write, and the next user,
// root included, would run it.

import { assert, assertEquals } from "@std/assert";
import { COMMANDS } from "../../lib/commands/mod.ts";
import { missingPrograms } from "../e2e/engine.ts";
import { Gilly } from "../e2e/gilly.ts";
import { fakeImage } from "../fakes/docker_engine.ts";
import { startNode } from "../fakes/node.ts";
import { scenario } from "../scenarios/scenario.ts";
import { withoutServiceManager } from "../support/program.ts";
import { GILLY, missingForBinary } from "../support/requirements.ts";
import { CALLS } from "./every_command.ts";

const IMAGE = "gcr.io/acme/good:1";

scenario(
  {
    subject: "files",
    what: "every command of the compiled binary, with a code cache of another user below TMPDIR",
    means: "stand-in",
    holds: "nothing below TMPDIR is opened, created or changed",
  },
  async () => {
    const dir = await Deno.makeTempDir({ prefix: "gilly-code-cache-" });
    try {
      const poison = `${dir}/tmp/deno-compile-gilly.cache`;
      await Deno.mkdir(`${dir}/tmp`);
      await Deno.writeTextFile(poison, "not for anybody to run");
      await using node = await startNode({
        pods: [{ name: "good", containers: [{ name: "app", image: IMAGE }] }],
        engine: { registries: { "mirror.example": { state: "up", images: { "acme/good:1": fakeImage("good") } } } },
        config: "registries: {gcr.io: mirror.example}\nmetrics: {textfile: metrics.prom}\n",
      });
      const traced = (log: string) => ({
        program: "strace",
        args: ["--follow-forks", "--quiet=all", "--trace=%file", "--string-limit=4096", `--output=${log}`, GILLY],
        env: { ...withoutServiceManager(), RUNTIME_DIRECTORY: dir, TMPDIR: `${dir}/tmp` },
        clearEnv: true,
      });
      const gilly = new Gilly(["run", "--config", node.configFile], { launch: traced(`${dir}/run.log`) });
      await gilly.waitForLine(/repaired gcr\.io\/acme\/good:1/);
      const calls = COMMANDS.filter(({ name }) => name !== "run").flatMap(({ name, flags }) => {
        const config = flags.some((flag) => flag.name === "config") ? ["--config", node.configFile] : [];
        return (CALLS[name]?.(IMAGE) ?? [[]]).map((call) => [name, ...config, ...call]);
      });
      for (const [index, call] of calls.entries()) {
        const { program, args, ...options } = traced(`${dir}/${index}.log`);
        await new Deno.Command(program, { ...options, args: [...args, ...call], stdout: "null", stderr: "null" })
          .output();
      }
      // strace does not forward signals, so its child gets them directly.
      for (const pid of await childrenOf(gilly.pid)) Deno.kill(pid, "SIGTERM");
      await gilly.ended();
      for (const [call, log] of [["run", "run"], ...calls.map((call, index) => [call.join(" "), String(index)])]) {
        const lines = (await Deno.readTextFile(`${dir}/${log}.log`)).split("\n");
        assert(lines.some((line) => line.includes(`execve("${GILLY}"`)), `${call} was not traced`);
        assertEquals(lines.filter((line) => line.includes(`"${dir}/tmp`)), [], call);
      }
      assertEquals(await Deno.readTextFile(poison), "not for anybody to run");
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
  [...missingForBinary(), ...missingPrograms(["strace"])],
);

async function childrenOf(pid: number): Promise<number[]> {
  const text = await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`);
  return text.trim().split(" ").filter((word) => word !== "").map(Number);
}
