// Tests the messages of the compiled program to a user who may open neither Docker's socket nor the
// ledger.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { fakeImage } from "../fakes/docker_engine.ts";
import { startNode } from "../fakes/node.ts";
import { withoutServiceManager } from "../support/program.ts";
import { GILLY, missingForBinary, testIfPossible } from "../support/requirements.ts";

/** The IDs of nobody and nogroup on Debian, and on RHEL since 8. */
const [UID, GID] = [65534, 65534];

const missing = [
  ...(Deno.uid() === 0 ? [] : ["root"]),
  // The bundle is not enough: another user may lack access to what runs it.
  ...missingForBinary(),
];

testIfPossible("a user without access is told who has it", missing, async () => {
  await using node = await startNode({
    engine: { registries: { "mirror.example": { state: "up", images: { "a/b:1": fakeImage("b") } } } },
  });
  const program = `${node.dir}/gilly`;
  await Deno.copyFile(GILLY, program);
  await Deno.chmod(program, 0o755);
  await Deno.chmod(node.dir, 0o755);
  await Deno.chmod(`${node.dir}/token`, 0o644);
  await Deno.chmod(node.engine.socket, 0o660);
  await Deno.writeTextFile(node.ledgerFile, "", { mode: 0o600 });
  const saidTo = async (...argv: string[]) => {
    const options = { args: [...argv, "--config", node.configFile], uid: UID, gid: GID, clearEnv: true, cwd: "/" };
    const { TMPDIR: _folder, ...env } = withoutServiceManager();
    const { code, stderr } = await new Deno.Command(program, { ...options, env: { ...env, HOME: node.dir } }).output();
    return { code, stderr: new TextDecoder().decode(stderr) };
  };
  const pull = await saidTo("pull", "gcr.io/a/b:1");
  assertEquals(pull.code, 1);
  const denied = "Permission denied (os error 13); only root and the socket's group may use it";
  assertStringIncludes(pull.stderr, `no usable answer from the Docker Engine at ${node.engine.socket}: ${denied}`);
  const history = await saidTo("history");
  assertEquals(history.code, 1);
  assertStringIncludes(history.stderr, "; run it as root: sudo gilly history\n");
});
