// Tests that the compiled binary, as root, writes to no system folder, whatever the config and
// links say.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { PROTECTED_FOLDERS } from "../../lib/support/protected_folders.ts";
import { Gilly, runGilly } from "../e2e/gilly.ts";
import { type FakeNode, startNode } from "../fakes/node.ts";
import { GILLY, missingForProgram, testIfPossible } from "../support/requirements.ts";

const MISSING = [
  ...missingForProgram(),
  ...(Deno.uid() === 0 ? [] : ["root"]),
];

/** A worker with a pod that the ledger records, since no rule maps its image. */
function worker(options: { ledgerFile?: string; config?: string } = {}): Promise<FakeNode> {
  const { ledgerFile, config = "" } = options;
  return startNode({
    pods: [{ name: "web", containers: [{ name: "app", image: "quay.io/a/b:1" }] }],
    config: `registries: {gcr.io: mirror.example}\npoll: {interval: 1s}\n${config}`,
    ...(ledgerFile === undefined ? {} : { ledgerFile }),
  });
}

/**
 * Runs a test with a folder below /etc that has one file, and asserts that nothing changed in it.
 */
async function besideEtc(use: (folder: string, file: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ dir: "/etc", prefix: "gilly-test-" });
  try {
    const file = `${folder}/victim`;
    await Deno.writeTextFile(file, "precious", { mode: 0o600 });
    await use(folder, file);
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["victim"]);
    assertEquals([await Deno.readTextFile(file), (await Deno.stat(file)).mode! & 0o777], ["precious", 0o600]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Resolves once a file in the folder matches `text`. */
async function untilWritten(folder: string, name: string, text: RegExp): Promise<void> {
  const watcher = Deno.watchFs(folder);
  const isThere = () => Deno.readTextFile(`${folder}/${name}`).then((found) => text.test(found), () => false);
  if (await isThere()) return watcher.close();
  for await (const _ of watcher) if (await isThere()) return;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

const unique = () => `gilly-test-${crypto.randomUUID()}`;

for (const folder of PROTECTED_FOLDERS) {
  testIfPossible(`no ledger is written to ${folder}`, MISSING, async () => {
    const ledgerFile = `${folder}/${unique()}`;
    await using node = await worker({ ledgerFile });
    try {
      const { code, stderr } = await runGilly(["once", "--config", node.configFile]);
      assertEquals(code, 78);
      assertStringIncludes(stderr, `config.yaml:3: ledger.file: ${ledgerFile} is in ${folder}, where Gilly never`);
      assertEquals(await exists(ledgerFile), false);
    } finally {
      await Deno.remove(ledgerFile).catch(() => {});
    }
  });
}

for (const folder of PROTECTED_FOLDERS) {
  testIfPossible(`a socket in ${folder} is refused by every command that reads the config`, MISSING, async () => {
    await using node = await worker();
    const socket = `${folder}/${unique()}.sock`;
    const config = await Deno.readTextFile(node.configFile);
    await Deno.writeTextFile(node.configFile, config.replace(node.engine.socket, socket));
    const said = `config.yaml:2: docker.socket: ${socket} is in ${folder}, where Gilly may not open a socket; expected`;
    for (const command of ["run", "once", "check", "pull x", "explain x", "history"]) {
      const { code, stdout, stderr } = await runGilly([...command.split(" "), "--config", node.configFile]);
      assertEquals(code, 78, command);
      assertStringIncludes(stdout + stderr, said);
    }
  });
}

testIfPossible("a path that the binary may not read is refused in words of its own", MISSING, async () => {
  const environ = "/proc/self/environ";
  for (const command of ["run", "once", "check", "explain x", "history"]) {
    const { code, stdout, stderr } = await runGilly([...command.split(" "), "--config", environ]);
    assertEquals(code, 78, command);
    assertStringIncludes(stdout + stderr, `${environ}: is a file of the kernel, which Gilly may not read`);
  }
  const status = await runGilly(["status", "--state-file", environ]);
  assertStringIncludes(status.stdout + status.stderr, `Gilly may not read ${environ}`);
});

testIfPossible(
  "no ledger is written through a folder that is a link, or through a link to a link",
  MISSING,
  async () => {
    await besideEtc(async (etc) => {
      await using node = await worker();
      await Deno.symlink(etc, `${node.dir}/link`);
      await Deno.symlink("link", `${node.dir}/second`);
      const config = await Deno.readTextFile(node.configFile);
      for (const way of ["link", "second"]) {
        const ledgerFile = `${node.dir}/${way}/ledger.jsonl`;
        await Deno.writeTextFile(node.configFile, config.replace(node.ledgerFile, ledgerFile));
        const { code, stderr } = await runGilly(["once", "--config", node.configFile]);
        assertEquals(code, 78);
        assertStringIncludes(
          stderr,
          `ledger.file: ${ledgerFile} leads to ${etc}/ledger.jsonl, in /etc, where Gilly never`,
        );
      }
    });
  },
);

testIfPossible("no ledger is written through a link in its place, and the pass continues", MISSING, async () => {
  await besideEtc(async (etc, victim) => {
    for (const target of [victim, `${etc}/missing`]) {
      await using node = await worker();
      await Deno.symlink(target, node.ledgerFile);
      const { code, stderr } = await runGilly(["once", "--config", node.configFile]);
      assertMatch(stderr, /\[Ledger\] {2}cannot write the ledger \S+: \S+ is a symbolic link, which is not followed/);
      assertMatch(stderr, /cannot repair quay\.io\/a\/b:1/);
      assert(code !== 78);
    }
  });
});

testIfPossible("a link among the ledger's older files is moved, never written through", MISSING, async () => {
  await besideEtc(async (_, victim) => {
    await using node = await worker({ config: "ledger: {maxSize: 4KiB}\n" });
    const ledger = `ledger: {file: ${node.ledgerFile}}\n`;
    const config = (await Deno.readTextFile(node.configFile)).replace(ledger, "").replace(
      "ledger: {maxSize",
      `ledger: {file: ${node.ledgerFile}, maxSize`,
    );
    await Deno.writeTextFile(node.configFile, config);
    await Deno.writeTextFile(node.ledgerFile, `${"x".repeat(4090)}\n`);
    await Deno.symlink(victim, `${node.ledgerFile}.1`);
    const { stderr } = await runGilly(["once", "--config", node.configFile]);
    assertEquals(stderr.includes("[Ledger]"), false, stderr);
    assertStringIncludes(await Deno.readTextFile(node.ledgerFile), "quay.io/a/b:1");
    assertStringIncludes(await Deno.readTextFile(`${node.ledgerFile}.1`), "xxx");
    assertEquals(await Deno.readLink(`${node.ledgerFile}.2`), victim);
  });
});

/**
 * Runs the daemon until its first pass is over. Before, a shell runs `first`, where `$$` is the
 * daemon's process ID.
 */
async function runDaemon(node: FakeNode, first: string, env: Record<string, string>): Promise<Gilly> {
  const script = `${first}\nexec "${GILLY}" run --config "${node.configFile}"`;
  const gilly = new Gilly([], { launch: { program: "/bin/sh", args: ["-ec", script], env } });
  try {
    await gilly.waitForLine(/Checked \d+ Pods/);
  } finally {
    assertEquals((await gilly.end()).code, 0);
  }
  return gilly;
}

testIfPossible(
  "metrics and state are not written through a link in place of the file or its draft",
  MISSING,
  async () => {
    await besideEtc(async (_, victim) => {
      await using node = await worker({ config: "metrics: {textfile: gilly.prom}\n" });
      const links = ["gilly.prom", "gilly.prom.$$", "state.json", "state.json.$$"];
      const first = links.map((link) => `ln -s "${victim}" "${node.dir}/${link}"`).join("\n");
      await runDaemon(node, first, { RUNTIME_DIRECTORY: node.dir });
      assertStringIncludes(await Deno.readTextFile(`${node.dir}/gilly.prom`), "gilly_build_info{");
      assertEquals((await Deno.lstat(`${node.dir}/gilly.prom`)).isFile, true);
      assertEquals([...Deno.readDirSync(node.dir)].filter(({ isSymlink }) => isSymlink), []);
    });
  },
);

testIfPossible("state and socket are not created in a folder that leads to a system folder", MISSING, async () => {
  await besideEtc(async (etc) => {
    await using node = await worker();
    await Deno.symlink(etc, `${node.dir}/run`);
    const env = { RUNTIME_DIRECTORY: `${node.dir}/run`, NOTIFY_SOCKET: `${node.dir}/nobody.sock` };
    const { journal } = await runDaemon(node, "", env);
    assertMatch(journal.join("\n"), /state\.json leads to \/etc\/\S+, in \/etc, where Gilly never writes/);
    assertMatch(journal.join("\n"), /notify\.sock leads to \/etc\/\S+, in \/etc, where Gilly never writes/);
  });
});

testIfPossible("a folder that is replaced by a link while the daemon runs is not followed", MISSING, async () => {
  await besideEtc(async (etc) => {
    await using node = await worker({ ledgerFile: "ledger/ledger.jsonl" });
    await Deno.mkdir(`${node.dir}/ledger`);
    const gilly = new Gilly(["run", "--config", node.configFile]);
    try {
      // Replacing a folder while the daemon opens a file in it can create an empty file elsewhere:
      // see docs/security.md.
      await untilWritten(`${node.dir}/ledger`, "ledger.jsonl", /quay\.io\/a\/b:1.*\n$/);
      await Deno.rename(`${node.dir}/ledger`, `${node.dir}/before`);
      await Deno.symlink(etc, `${node.dir}/ledger`);
      node.kubelet.addPod({ name: "second", containers: [{ name: "app", image: "quay.io/a/c:1" }] });
      node.kubelet.advanceEvery(100);
      await gilly.waitForLine(/\[Ledger\] {2}cannot write the ledger \S+: \S+ leads to \/etc\//);
    } finally {
      assertEquals((await gilly.end()).code, 0);
    }
  });
});

testIfPossible("exported files are not written to a folder that leads to a system folder", MISSING, async () => {
  await besideEtc(async (etc) => {
    await using node = await worker();
    for (const output of ["/", `${node.dir}/out`, `${node.dir}/deep`]) {
      await Deno.mkdir(`${node.dir}/deep/etc`, { recursive: true });
      await Deno.symlink(etc, output.endsWith("out") ? output : `${node.dir}/deep/etc/rancher`).catch(() => {});
      const { code, stderr } = await runGilly(["export", "k3s", "--output", output, "--config", node.configFile]);
      assertEquals(code, 1);
      assertStringIncludes(stderr, "/etc/rancher/k3s/registries.yaml: give --output another folder");
    }
    assertEquals(await exists("/etc/rancher/k3s/registries.yaml"), false);
  });
});
