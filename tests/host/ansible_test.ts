// The role of contrib/ansible on a booted host with a real worker's Docker and kubelet: what it
// changes, and that it says so.

import { assertEquals, assertMatch, assertNotEquals, assertStringIncludes } from "@std/assert";
import type { Worker } from "../e2e/worker.ts";
import { testIfPossible } from "../support/requirements.ts";
import { stepsOf } from "../support/steps.ts";
import { changes, filesOf } from "./files.ts";
import { type FleetRelease, fleetRelease } from "./fleet_release.ts";
import { fleetTree } from "./fleet_tree.ts";
import type { Host } from "./host.ts";
import { Controller, missingForPlaybook, type Played } from "./playbook.ts";
import { missingForInstalledHost, Stage, VERSION } from "./stage.ts";

const CONFIG = "/etc/gilly/config.yaml";
const OLDER = "0.0.9";

interface Fleet {
  readonly worker: Worker;
  readonly host: Host;
  readonly controller: Controller;
  readonly release: FleetRelease;
  /** Where the host can download the release. */
  readonly url: string;
  readonly variables: Readonly<Record<string, unknown>>;
}

testIfPossible("contrib/ansible", [...missingForInstalledHost(), ...missingForPlaybook()], async (t) => {
  await using parts = new AsyncDisposableStack();
  const stage = parts.use(await Stage.withoutRelease({}, await fleetTree()));
  await stage.bringDocker();
  const { worker, host } = stage;
  const controller = parts.use(await Controller.of(host));
  const release = parts.use(await fleetRelease([OLDER]));
  const server = parts.use(Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    return Deno.readFile(release.folder + new URL(request.url).pathname).then((bytes) => new Response(bytes));
  }));
  const url = `http://127.0.0.1:${server.addr.port}`;
  const fleet = { worker, host, controller, release, url, variables: variablesFor(worker, release) };
  const { step, failed } = stepsOf(t, fleet);
  await step("check mode on a bare host says what would be installed, and changes nothing", checkBare);
  await step("a package that is not the one in SHA256SUMS is not installed", refuseStranger);
  await step("the first run installs, configures, starts, and finds the worker ready", install);
  assertEquals(failed, [], "what follows needs an installed gilly");
  await step("the second run changes nothing", again);
  await step("check mode shows another mirror, and changes nothing", checkMirror);
  await step(
    "another mirror changes the config alone, by one reload; it is down, so the playbook ends here",
    changeMirror,
  );
  await step("a config that Gilly refuses stops the run, and the old one stays", refuseConfig);
  await step("an older gilly_version is the way back, also over a hold", goBack);
  await step("gilly_state: absent removes it, and keeps config and ledger", absent);
  assertEquals(failed, [], "steps that failed");
});

function variablesFor(worker: Worker, release: FleetRelease): Readonly<Record<string, unknown>> {
  const { caFile, certFile, keyFile } = worker.certificates;
  return {
    gilly_version: VERSION,
    gilly_source: release.folder,
    gilly_sha256sums: `${release.folder}/SHA256SUMS`,
    gilly_files: [
      { src: caFile, dest: "kubelet-ca.crt" },
      { src: certFile, dest: "kubelet-client.crt" },
      { src: keyFile, dest: "kubelet-client.key" },
    ],
    gilly_kubelet: {
      url: worker.kubelet.url,
      caFile: "/etc/gilly/kubelet-ca.crt",
      certFile: "/etc/gilly/kubelet-client.crt",
      keyFile: "/etc/gilly/kubelet-client.key",
    },
    gilly_registries: { "gcr.io": worker.mirrorHost(0) },
  };
}

async function checkBare({ controller, host, release, variables }: Fleet): Promise<void> {
  const before = await filesOf(host);
  const played = await controller.play(variables, ["--check"]);
  assertPlayed(played, ["changed: Say what would be installed"]);
  assertStringIncludes(played.out, `${release.name} would be installed; the installed version is none`);
  assertEquals(changes(before, await filesOf(host)), []);
}

async function refuseStranger({ controller, host, variables }: Fleet): Promise<void> {
  const before = await filesOf(host);
  const other = { ...variables, gilly_package_sha256: "0".repeat(64) };
  const { code, out, changes: changed } = await controller.play(other);
  assertEquals([code, changed.at(-1)], [2, "fatal: Check its sum"], out);
  assertMatch(out, /gilly_\S+\.deb has the SHA-256 [0-9a-f]{64}; expected 0{64}/);
  assertEquals(changes(before, await filesOf(host)), []);
}

async function install({ controller, host, worker, url, variables }: Fleet): Promise<void> {
  assertPlayed(await controller.play({ ...variables, gilly_source: url }), [
    "changed: Make a folder for the package",
    "changed: Download the package",
    "changed: Install the package by apt",
    "changed: Copy the files that the config names",
    "changed: Write the config",
    "changed: Set up what is particular to this host",
    "changed: Reload Gilly",
  ]);
  assertEquals(await host.sh("systemctl is-active gilly; systemctl is-enabled gilly"), "active\nenabled");
  assertEquals(await host.sh(`stat -c '%a %U:%G' ${CONFIG}`), "640 root:gilly-proxy");
  assertStringIncludes(await host.sh(`cat ${CONFIG}`), `registries:\n  gcr.io: ${worker.mirrorHost(0)}`);
}

async function again({ controller, variables }: Fleet): Promise<void> {
  assertPlayed(await controller.play(variables), []);
}

const withMirror = (variables: Fleet["variables"], mirror: string) => ({
  ...variables,
  gilly_registries: { "gcr.io": mirror, "quay.io": mirror },
});

async function checkMirror({ controller, host, worker, variables }: Fleet): Promise<void> {
  const before = await filesOf(host, "%t");
  const played = await controller.play(withMirror(variables, worker.mirrorHost(0)), ["--check", "--diff"]);
  assertPlayed(played, ["changed: Write the config", "changed: Reload Gilly"]);
  assertStringIncludes(played.out, `+  quay.io: ${worker.mirrorHost(0)}`);
  assertEquals(changes(before, await filesOf(host, "%t")), []);
}

async function changeMirror({ controller, host, variables }: Fleet): Promise<void> {
  const { cursor } = await mark(host);
  const pid = await host.property("MainPID");
  const down = { ...withMirror(variables, "127.0.0.1:1"), gilly_check_retries: 1 };
  const { code, out, changes: changed } = await controller.play(down);
  assertEquals([code, changed], [2, [
    "changed: Write the config",
    "changed: Reload Gilly",
    "fatal: Ask each worker whether Gilly can repair there",
    "fatal: Stop where something fails",
  ]], out);
  assertMatch(out, /"msg": "gilly check ended with 1: mirror 127\.0\.0\.1:1: [^;"]*refused"/);
  assertEquals(await host.property("MainPID"), pid);
  assertEquals(await reloadsSince(host, cursor), 1);
}

async function refuseConfig({ controller, host, worker, variables }: Fleet): Promise<void> {
  const before = await host.sh(`cat ${CONFIG}`);
  const { cursor } = await mark(host);
  const { code, out, changes: changed } = await controller.play(
    withMirror(variables, `https://${worker.mirrorHost(0)}`),
  );
  assertEquals([code, changed], [2, ["fatal: Write the config"]], out);
  assertMatch(out, /registries\.\\?"gcr\.io/);
  assertEquals(await host.sh(`cat ${CONFIG}`), before);
  assertEquals(await reloadsSince(host, cursor), 0);
  assertEquals(await host.sh("systemctl is-active gilly"), "active");
}

async function goBack({ controller, host, variables }: Fleet): Promise<void> {
  await host.sh("apt-mark hold gilly");
  const pid = await host.property("MainPID");
  const { code, out, changes: changed } = await controller.play({ ...variables, gilly_version: OLDER });
  const installed = ["Make a folder for the package", "Copy the package", "Install the package by apt"];
  assertEquals(
    [code, changed],
    [0, [...installed, "Write the config", "Reload Gilly"].map((task) => `changed: ${task}`)],
    out,
  );
  assertEquals(await host.sh("dpkg-query --show --showformat='${Version}' gilly"), OLDER);
  assertNotEquals(await host.property("MainPID"), pid);
}

async function absent({ controller, host, variables }: Fleet): Promise<void> {
  assertPlayed(await controller.play({ ...variables, gilly_state: "absent" }), ["changed: Remove the package by apt"]);
  assertEquals((await host.run("systemctl is-active gilly; command -v gilly")).out, "inactive");
  await host.sh(`test -s ${CONFIG} && test -d /var/lib/gilly`);
}

function assertPlayed(played: Played, expected: readonly string[]): void {
  assertEquals([played.code, played.changes], [0, expected], `${played.out}${played.err}`);
  assertEquals(played.recap.changed, expected.length, played.out);
}

async function mark(host: Host): Promise<{ cursor: string }> {
  const last = await host.sh("journalctl --sync && journalctl --lines=1 --output=json");
  return { cursor: JSON.parse(last).__CURSOR };
}

async function reloadsSince(host: Host, cursor: string): Promise<number> {
  const since = `journalctl --sync && journalctl --output=cat --after-cursor='${cursor}' _PID=1 --unit=gilly.service`;
  return (await host.sh(since)).split("\n").filter((line) => line.startsWith("Reloaded ")).length;
}
