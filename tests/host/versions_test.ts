// A worker goes from the last release to this version, back, and forth again, each time by the
// install.sh of that archive. docs/compatibility.md tells what is kept.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { delay } from "@std/async/delay";
import type { LedgerEntry } from "../../lib/record/entry.ts";
import { fakeImage } from "../fakes/docker_engine.ts";
import { missingForMtls } from "../fakes/mtls_proxy.ts";
import { type FakeNode, startNode } from "../fakes/node.ts";
import { inTemporaryFolder } from "../support/folder.ts";
import { buildLastRelease, LAST_RELEASE, missingForLastRelease } from "../support/last_release.ts";
import { PATIENCE_MS } from "../support/patience.ts";
import { freePort } from "../support/ports.ts";
import { GILLY, testIfPossible } from "../support/requirements.ts";
import { stepsOf } from "../support/steps.ts";
import { changes, filesOf } from "./files.ts";
import { bootHost, type Host } from "./host.ts";
import { installer, missingForRelease, unpackRelease } from "./stage.ts";

/** Where the host sees the folder of the Docker socket. */
const THERE = "/opt/docker";
const PKI = "/root/pki";
const CONFIG = "/etc/gilly/config.yaml";
const LEDGER = "/var/lib/gilly/ledger.jsonl";
const THIS_UNIT = "/usr/local/lib/systemd/system/gilly.service";
const LAST_UNIT = "/etc/systemd/system/gilly.service";
const LAST = `/root/last/gilly-${LAST_RELEASE.version}-linux-x64/install.sh`;
const FLAGS = `--mirror gcr.io=mirror.example --kubelet-ca ${PKI}/ca.crt ` +
  `--kubelet-cert ${PKI}/client.crt --kubelet-key ${PKI}/client.key`;

/** Who is recorded for an image that `gilly pull` got. */
const ASKER = "gilly pull (root)";
const PULLED = `gcr.io/a/pulled:1 by ${ASKER}`;

const IMAGES = ["one", "two", "pulled", "three", "four"];
const missing = [...missingForRelease(), ...missingForLastRelease(), ...missingForMtls()];

testIfPossible("a worker goes from the last release to this version, back, and forth again", missing, async (t) => {
  const images = Object.fromEntries(IMAGES.map((name) => [`a/${name}:1`, fakeImage(name)]));
  await using node = await startNode({
    client: {},
    engine: { registries: { "mirror.example": { state: "up", images } } },
  });
  node.kubelet.advanceEvery(200);
  await using host = await bootHost({ binds: { [node.dir]: THERE } });
  await prepare(host, node);
  const before = await filesOf(host);
  const { step, failed } = stepsOf(t, host, node);

  await step("the last release runs with every key that its config has, and repairs", installLast);
  assertEquals(failed, [], "what follows needs it");
  await step("an upgrade keeps config, ledger, credentials and enablement", upgrade);
  await step("it knows from the ledger which digest the last release was served", watchDigest);
  await step("a downgrade keeps them, and the old program reads what the new one wrote", downgrade);
  await step("after it a renewal needs a restart, and the journal of gilly-renew shows it", renewOnLast);
  await step("a key that the old program does not know is refused by name, with 78", refuseNewKey);
  await step("a second upgrade puts this version's unit in force again", upgradeAgain);
  await step("a purge leaves nothing of either", (host) => purge(host, before));
  if (failed.length > 0) console.error(await host.sh("journalctl --no-pager -n 60"));
  assertEquals(failed, [], "steps that failed");
});

/** Puts both archives, the kubelet's credentials and the way to Docker on the host. */
async function prepare(host: Host, node: FakeNode): Promise<void> {
  await Promise.all([
    unpackRelease(host, await Deno.readFile(GILLY)),
    inTemporaryFolder(async (folder) => {
      await host.put("/root/last/archive.tar.gz", await Deno.readFile(await buildLastRelease(folder)));
      await host.sh("tar -xzf last/archive.tar.gz -C last");
    }),
  ]);
  for (const name of ["ca.crt", "client.crt", "client.key"]) {
    await host.put(`${PKI}/${name}`, await Deno.readFile(`${node.dir}/${name}`), 0o600);
  }
  await Deno.chmod(node.dir, 0o755);
  await host.sh(
    `groupadd --gid 4242 docker && ln -s ${THERE}/docker.sock /run/docker.sock && ` +
      `chgrp 4242 ${THERE}/docker.sock && chmod 0660 ${THERE}/docker.sock`,
  );
}

/** Every key of 0.1.0 besides those that its install.sh writes. */
const OTHER_KEYS = `
mirrors:
  mirror.example: {authFile: /etc/gilly/docker-config.json, maxConcurrentPulls: 4}
exclude: {images: ["quay.io/team/*"], namespaces: ["team-*"]}
keep: []
repair:
  mode: on-failure
  concurrency: 8
  backoff: {initial: 1s, max: 5m}
  noProgress: 60s
  onDigestChange: warn
poll: {interval: 5s, safety: 60s, jitter: 0.1}
docker: {socket: /run/docker.sock}
ledger: {file: ${LEDGER}, maxSize: 10MiB, keep: 5}
metrics: {listen: PORT, textfile: /var/lib/gilly/gilly.prom}
logging: {level: info, format: text}
`;

async function installLast(host: Host, node: FakeNode): Promise<void> {
  await host.sh(`${LAST} --kubelet-url ${node.kubelet.url} ${FLAGS}`);
  assertEquals(await host.property("FragmentPath"), LAST_UNIT);
  const config = await host.sh(`cat ${CONFIG}`);
  // Written in place, so that it stays the daemon's to read.
  await host.put("/root/config", config + OTHER_KEYS.replace("PORT", String(freePort())));
  await host.sh(`cat /root/config >${CONFIG} && systemctl restart gilly`);
  // Not sooner: the restart could come between its pull and its tag.
  node.kubelet.addPod(brokenPod("one"));
  await repaired(host, "one");
  await recorded(host, ["one"]);
}

async function upgrade(host: Host, node: FakeNode): Promise<void> {
  const { config, ledger } = await kept(host);
  const out = await host.sh(installer());
  assertStringIncludes(out, `moved ${LAST_UNIT} to ${THIS_UNIT}`);
  assertMatch(out, /is installed and running/);
  await sees(host, { unit: THIS_UNIT, config });
  await recorded(host, ["one"]);
  node.kubelet.addPod(brokenPod("two"));
  await repaired(host, "two");
  await host.sh("gilly pull --plain gcr.io/a/pulled:1");
  assertEquals((await recorded(host, ["one", "two", "pulled"])).at(-1)?.askedBy, ASKER);
  assertEquals((await kept(host)).ledger.slice(0, ledger.length), ledger);
}

async function watchDigest(host: Host, { kubelet, engine }: FakeNode): Promise<void> {
  const last = await host.lastEntry();
  engine.registries["mirror.example"]!.images["a/one:1"] = fakeImage("one anew");
  for (const name of ["mirror.example/a/one:1", "gcr.io/a/one:1"]) engine.remove(name);
  kubelet.addPod({ ...brokenPod("one"), name: "one-again" });
  await host.journal.waitFor(/\[Provenance\] +gcr\.io\/a\/one:1 was sha256:\w+ .* and is now sha256:/, last);
}

async function downgrade(host: Host, node: FakeNode): Promise<void> {
  const { config, ledger } = await kept(host);
  // 0.1.0 enables it whatever was decided.
  await host.sh("systemctl disable --quiet gilly");
  assertMatch(await host.sh(LAST), /is installed and running/);
  await sees(host, { unit: LAST_UNIT, config });
  assertEquals(
    (await recorded(host, ["one", "two", "pulled", "one"])).map(({ askedBy }) => askedBy).filter(Boolean),
    [],
  );
  node.kubelet.addPod(brokenPod("three"));
  await repaired(host, "three");
  await recorded(host, ["one", "two", "pulled", "one", "three"]);
  assertEquals((await kept(host)).ledger.slice(0, ledger.length), ledger);
}

async function renewOnLast(host: Host): Promise<void> {
  assertEquals(await host.sh("systemctl is-active gilly-renew.path"), "active");
  const running = await host.property("MainPID");
  await host.sh(`touch ${PKI}/client.crt`);
  const giveUp = AbortSignal.timeout(PATIENCE_MS);
  for (let journal = ""; !journal.includes('unknown flag "--renewed"'); await delay(200)) {
    giveUp.throwIfAborted();
    journal = await host.sh("journalctl -u gilly-renew -o cat");
  }
  assertEquals(await host.property("MainPID"), running);
}

async function refuseNewKey(host: Host): Promise<void> {
  const { config } = await kept(host);
  const last = await host.lastEntry();
  assertEquals((await host.run(`printf 'proxy: {}\\ncontainerd: {}\\n' >>${CONFIG}; systemctl restart gilly`)).code, 1);
  assertEquals(await host.property("ExecMainStatus"), "78");
  for (const key of ["proxy", "containerd"]) {
    await host.journal.waitFor(new RegExp(`config\\.yaml:\\d+: ${key}: unknown key; expected one of kubelet, `), last);
  }
  await host.put("/root/config", config);
  await host.sh(`cat /root/config >${CONFIG} && systemctl start gilly`);
}

async function upgradeAgain(host: Host, node: FakeNode): Promise<void> {
  const { config, ledger } = await kept(host);
  const out = await host.sh(installer());
  assertStringIncludes(out, `removed ${LAST_UNIT}, which 0.1.0 had put there`);
  await sees(host, { unit: THIS_UNIT, config });
  node.kubelet.addPod(brokenPod("four"));
  await repaired(host, "four");
  const entries = await recorded(host, ["one", "two", "pulled", "one", "three", "four"]);
  assertEquals(entries.flatMap(({ image, askedBy }) => askedBy ? [`${image} by ${askedBy}`] : []), [PULLED]);
  assertEquals((await kept(host)).ledger.slice(0, ledger.length), ledger);
  assertMatch(await host.sh(installer()), /nothing to do/);
}

async function purge(host: Host, before: readonly string[]): Promise<void> {
  await host.sh(`${installer()} --purge`);
  assertEquals(changes(before, await filesOf(host)), []);
}

function brokenPod(name: string) {
  return { name, containers: [{ name: "app", image: `gcr.io/a/${name}:1` }] };
}

async function repaired(host: Host, name: string): Promise<void> {
  await host.journal.waitFor(new RegExp(`tagged image: .* to gcr\\.io/a/${name}:1`));
}

/** Checks that the installed program's history has these images, oldest first; returns its entries. */
async function recorded(host: Host, names: readonly string[]): Promise<LedgerEntry[]> {
  const images = names.map((name) => `gcr.io/a/${name}:1`);
  // A line is written beside the repair, a moment after it.
  for (const giveUp = AbortSignal.timeout(PATIENCE_MS);; await delay(100)) {
    const { code, out, err } = await host.run("gilly history --json");
    assertEquals([code, err], [0, ""]);
    const entries: LedgerEntry[] = JSON.parse(out);
    if (entries.length >= images.length || giveUp.aborted) {
      assertEquals(entries.map(({ image }) => image), images);
      return entries;
    }
  }
}

async function kept(host: Host): Promise<{ readonly config: string; readonly ledger: string }> {
  return { config: await host.sh(`cat ${CONFIG}`), ledger: await host.sh(`cat ${LEDGER}`) };
}

/** Checks what runs after an installation, and that it found what was there. */
async function sees(host: Host, { unit, config }: { readonly unit: string; readonly config: string }): Promise<void> {
  assertEquals((await kept(host)).config, config);
  assertEquals(await host.property("FragmentPath"), unit);
  assertEquals(await host.sh("systemctl is-active gilly && systemctl is-enabled gilly"), "active\nenabled");
  assertStringIncludes(await host.property("DropInPaths"), "20-kubelet-credentials.conf");
}
