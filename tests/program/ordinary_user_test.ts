// Tests the messages of the compiled program to a user who may open neither the runtime's socket nor
// the ledger.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { fakeImage } from "../fakes/docker_engine.ts";
import { type AnyFakeNode, startNode } from "../fakes/node.ts";
import { withoutServiceManager } from "../support/program.ts";
import { GILLY, missingForBinary, testIfPossible } from "../support/requirements.ts";

/** The IDs of nobody and nogroup on Debian, and on RHEL since 8. */
const [UID, GID] = [65534, 65534];

const missing = [
  ...(Deno.uid() === 0 ? [] : ["root"]),
  // The bundle is not enough: another user may lack access to what runs it.
  ...missingForBinary(),
];

const REGISTRIES = { "mirror.example": { state: "up" as const, images: { "a/b:1": fakeImage("b") } } };

/** Lets everyone read the node but its ledger, and returns how to run the program as another user. */
async function strangerOn({ dir, configFile, ledgerFile }: AnyFakeNode, socket: string) {
  const program = `${dir}/gilly`;
  await Deno.copyFile(GILLY, program);
  await Deno.chmod(program, 0o755);
  await Deno.chmod(dir, 0o755);
  await Deno.chmod(`${dir}/token`, 0o644);
  await Deno.chmod(socket, 0o660);
  await Deno.writeTextFile(ledgerFile, "", { mode: 0o600 });
  return async (...argv: string[]) => {
    const options = { args: [...argv, "--config", configFile], uid: UID, gid: GID, clearEnv: true, cwd: "/" };
    const { TMPDIR: _folder, ...env } = withoutServiceManager();
    const ended = await new Deno.Command(program, { ...options, env: { ...env, HOME: dir } }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code: ended.code, stdout: text(ended.stdout), stderr: text(ended.stderr) };
  };
}

const DENIED = "Permission denied (os error 13); only root and the socket's group may use it";

testIfPossible("a user without access is told who has it", missing, async () => {
  await using node = await startNode({ engine: { registries: REGISTRIES } });
  const saidTo = await strangerOn(node, node.engine.socket);
  const pull = await saidTo("pull", "gcr.io/a/b:1");
  assertEquals(pull.code, 1);
  assertStringIncludes(pull.stderr, `no usable answer from the Docker Engine at ${node.engine.socket}: ${DENIED}`);
  const history = await saidTo("history");
  assertEquals(history.code, 1);
  assertStringIncludes(history.stderr, "; run it as root: sudo gilly history\n");
});

testIfPossible(
  "with containerd, a user without access is told who has it, and the service's way to it",
  missing,
  async () => {
    await using node = await startNode({ runtime: "containerd", containerd: { registries: REGISTRIES } });
    const { socket } = node.containerd;
    const saidTo = await strangerOn(node, socket);
    const pull = await saidTo("pull", "gcr.io/a/b:1");
    assertEquals(pull.code, 1);
    assertStringIncludes(pull.stderr, `no usable answer from containerd at ${socket}: ${DENIED}`);
    const check = await saidTo("check", "--state-file", "/nonexistent");
    assertEquals(check.code, 1);
    assertStringIncludes(
      check.stdout,
      `fail  containerd socket: no permission to open ${socket}: it belongs to the group root, which this user is not in\n` +
        "      → run it as root: sudo gilly check; if the service cannot open it either: run gilly-setup, which finds how it may\n",
    );
  },
);
