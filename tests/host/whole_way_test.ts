// The full life of an installation on a bare host booted by systemd: one archive, install.sh, and
// then systemctl and journalctl. Docker and the kubelet are a real worker's.

import { assert, assertEquals, assertLess, assertMatch, assertNotEquals, assertStringIncludes } from "@std/assert";
import { delay } from "@std/async/delay";
import { answering, startFaultyRegistry } from "../e2e/faulty_registry.ts";
import { makeAuthority } from "../fakes/certificates.ts";
import { GILLY, testIfPossible } from "../support/requirements.ts";
import { stepsOf } from "../support/steps.ts";
import { startCrowdedKubelet } from "./crowded_kubelet.ts";
import { changes, filesOf } from "./files.ts";
import { installer, missingForInstalledHost, Stage, unpackRelease, VERSION } from "./stage.ts";

const CONFIG = "/etc/gilly/config.yaml";
const BAD_EDIT = `echo 'pol: {interval: 1s}' >>${CONFIG}`;

testIfPossible("a bare host installs gilly from its archive and removes it", missingForInstalledHost(), async (t) => {
  await using stage = await Stage.set();
  const { step, failed } = stepsOf(t, stage);

  await step("without Docker the installer says what is missing and changes nothing", refusedWithoutDocker);
  await stage.bringDocker();
  const before = await filesOf(stage.host);
  await step("one archive and install.sh start the service, with a status line", install);
  assertEquals(failed, [], "what follows needs an installed gilly");
  await step("systemd finds no fault with the unit and rates its exposure at 1.2 or less", rateUnit);
  await step("journalctl shows a repair from the broken pod to the tag, and the pod runs", repair);
  await step("the journal's warnings are the work list, and each entry is one line", worklist);
  await step("a mirror that takes seconds to refuse is tried again at the time in the journal", tryAgainOnTime);
  await step("a second run of the installer changes nothing and restarts nothing", installAgain);
  await step("a reload refuses a bad config, names the mistake, and keeps the old one in force", reloadBadConfig);
  await step(
    "a start with a bad config fails with exit code 78, and systemd does not restart the service",
    startBadConfig,
  );
  await step("the watchdog kills a frozen process, and a new one takes over", freeze);
  await step("a killed process is restarted and not hindered by its leftovers", kill);
  await step("it starts before Docker and the kubelet, logs that, and works once they are up", startFirst);
  await step("systemctl stop ends it within two seconds in the middle of a pull", stopInPull);
  await step("the next run finishes an interrupted upgrade", finishUpgrade);
  await step("a node with a thousand pods fits in the memory that the unit allows", manyPods);
  await step("an upgrade replaces the binary, restarts once, and keeps an edited config", upgrade);
  await step("certificates replaced on disk are used without a reload", rotateCertificates);
  await step(
    "uninstalling keeps config and ledger, and purging leaves the host as it was",
    (stage) => leave(stage, before),
  );
  if (failed.length > 0) console.error(await stage.host.sh("journalctl --no-pager -n 60"));
  assertEquals(failed, [], "steps that failed");
});

async function refusedWithoutDocker(stage: Stage): Promise<void> {
  const before = await filesOf(stage.host);
  const { code, out, err } = await stage.host.run(installer());
  assertEquals({ code, out }, { code: 1, out: "" });
  assertMatch(err, /^install\.sh: neither \S+ nor a group docker exists: install Docker Engine.*$/);
  assertEquals(changes(before, await filesOf(stage.host)), []);
}

async function install(stage: Stage): Promise<void> {
  const { host } = stage;
  const out = await host.sh(`${installer()} ${stage.flags()}`);
  assertMatch(out, new RegExp(`gilly ${VERSION}.* is installed and running`));
  assertEquals(await host.sh("systemctl is-active gilly; systemctl is-enabled gilly"), "active\nenabled");
  await stage.waitForStatus(/^Checked 0 pods \d+ s ago: 0 repairing, 0 unrepairable; 0 repaired since start$/);
  assertMatch(await host.sh("systemctl status gilly"), /Status: "Checked 0 pods/);
  assertEquals(await host.sh('ps -o user= -p "$(systemctl show gilly --value -p MainPID)"'), "gilly");
}

async function rateUnit({ host }: Stage): Promise<void> {
  assertEquals(await host.sh("systemd-analyze verify gilly.service 2>&1"), "");
  const report = await host.sh("systemd-analyze security --no-pager gilly.service");
  const exposure = /Overall exposure level for gilly.service: ([\d.]+)/.exec(report)?.[1];
  console.log(`systemd-analyze security: exposure ${exposure}, at most 1.2`);
  assertLess(Number(exposure), 1.21);
}

async function repair({ host, worker }: Stage): Promise<void> {
  const id = await worker.seed(0, "acme/web:1.0");
  await worker.addPod({ name: "web", containers: [{ name: "app", image: "gcr.io/acme/web:1.0" }] });
  await worker.waitForRunning("web");
  assertEquals(await worker.imageId("gcr.io/acme/web:1.0"), id);
  const story = await host.sh("journalctl -u gilly -t gilly -o cat");
  assertMatch(story, new RegExp(storyOf(worker.kubelet.nodeName, worker.mirrorHost(0)).join("[^]*"), "m"));
}

/** The lines that an operator greps for, in order. */
function storyOf(node: string, mirror: string): string[] {
  return [
    String.raw`^\[NewConnection\]  Established connection to kubelet$`,
    String.raw`^\[Validate\]  Detected pod web-${node} in Pending state\.$`,
    String.raw`^\[Validate\]  Detected container app in pod web-${node} status is (ErrImagePull|ImagePullBackOff)$`,
    String.raw`^\[ReplaceImageRegistry\]  got chunks: \[gcr\.io acme web:1\.0\]$`,
    String.raw`^\[PullImage\]  pulling image: ${mirror}/acme/web:1\.0$`,
    String.raw`^\[TagImage\] tagged image: ${mirror}/acme/web:1\.0 to gcr\.io/acme/web:1\.0$`,
  ];
}

async function worklist(stage: Stage): Promise<void> {
  const { host, worker } = stage;
  const warnings = "journalctl -u gilly -t gilly -o cat -p warning";
  assertEquals(await host.sh(warnings), "");
  const last = await host.lastEntry();
  await worker.addPod({ name: "absent", containers: [{ name: "app", image: "quay.io/acme/absent:1" }] });
  const { priority } = await host.journal.waitFor(/cannot repair quay\.io\/acme\/absent:1/, last);
  assertEquals(priority, 4);
  assertMatch(await host.sh(warnings), /^\[Repair\] {2}cannot repair quay\.io\/acme\/absent:1 .*not-in-mirror.*$/);
  await stage.waitForStatus(/[1-9] (waiting|unrepairable)/);
  await worker.removePod("absent");
  for (const { message, identifier } of host.journal.since()) {
    // deno-lint-ignore no-control-regex
    if (identifier === "gilly") assertMatch(message, /^\[\w+\] {1,2}[^\u0000-\u001f]+$/);
  }
}

async function tryAgainOnTime(stage: Stage): Promise<void> {
  const { host, worker } = stage;
  const mirror = startFaultyRegistry(worker.mirrorHost(0), async (request, forward) => {
    if (!request.url.includes("/manifests/")) return await forward();
    await delay(4000);
    return answering(404, { say: "manifest unknown" })(request, forward);
  });
  try {
    await withConfig(stage, `echo '  "slow.example": ["${mirror.host}"]' >>${CONFIG}`, async () => {
      const last = await host.lastEntry();
      await host.sh("systemctl reload gilly");
      await host.journal.waitFor(/config\.yaml is in force/, last);
      await worker.addPod({ name: "slow", containers: [{ name: "app", image: "slow.example/acme/web:1.0" }] });
      const failure = await host.journal.waitFor(
        /cannot repair slow\.example\/acme\/web:1\.0 .*; next try in \d+ s$/,
        last,
      );
      const said = performance.now();
      mirror.fault = undefined;
      await host.journal.waitFor(/repaired slow\.example\/acme\/web:1\.0/, failure);
      const late = (performance.now() - said) / 1000 - Number(/next try in (\d+) s$/.exec(failure.message)![1]);
      // The next poll would be up to a minute later.
      assertLess(late, 5);
      await worker.waitForRunning("slow");
      await worker.removePod("slow");
    });
    const last = await host.lastEntry();
    await host.sh("systemctl reload gilly");
    await host.journal.waitFor(/config\.yaml is in force/, last);
  } finally {
    await mirror.stop();
  }
}

async function installAgain(stage: Stage): Promise<void> {
  const { host } = stage;
  const state = async () => [await host.property("InvocationID"), ...await filesOf(stage.host, "%T@ %i")];
  const before = await state();
  for (const flags of [stage.flags(), ""]) {
    assertStringIncludes(await host.sh(`${installer()} ${flags}`), "is installed already, nothing to do");
  }
  assertEquals(changes(before, await state()), []);
}

async function reloadBadConfig(stage: Stage): Promise<void> {
  const { host, worker } = stage;
  const before = await host.property("InvocationID");
  await withConfig(stage, BAD_EDIT, async () => {
    const last = await host.lastEntry();
    await host.sh("systemctl reload gilly");
    const { message, priority } = await host.journal.waitFor(/refused/, last);
    assertMatch(message, /config\.yaml:\d+: pol: .*poll/);
    assertEquals(priority, 3);
    await stage.waitForStatus(/config\.yaml was refused, the old config/);
    await worker.seed(0, "acme/after:1");
    await worker.addPod({ name: "after", containers: [{ name: "app", image: "gcr.io/acme/after:1" }] });
    await worker.waitForRunning("after");
  });
  const last = await host.lastEntry();
  await host.sh("systemctl reload gilly");
  await host.journal.waitFor(/config\.yaml is in force/, last);
  await stage.waitForStatus(/^Checked/);
  assertEquals(await host.property("InvocationID"), before);
}

async function startBadConfig(stage: Stage): Promise<void> {
  const { host } = stage;
  await withConfig(stage, BAD_EDIT, async () => {
    assertNotEquals((await host.run("systemctl restart gilly")).code, 0);
    // A pending restart would show as the sub-state auto-restart.
    const states = ["ActiveState", "SubState", "ExecMainStatus", "NRestarts"].map((name) => host.property(name));
    assertEquals(await Promise.all(states), ["failed", "failed", "78", "0"]);
    assertMatch(await host.sh("journalctl -u gilly -t gilly -o cat -p err | tail -1"), /config\.yaml:\d+: pol: /);
    const { code, err } = await host.run(installer());
    assertEquals(code, 1);
    assertMatch(err, /^install\.sh: gilly .* refuses the config, so nothing was changed: \S+config\.yaml:\d+: pol: /);
  });
  await host.sh("systemctl start gilly");
  await stage.waitForStatus(/^Checked/);
}

async function freeze(stage: Stage): Promise<void> {
  const { host } = stage;
  const impatient = "/run/systemd/system/gilly.service.d/watchdog.conf";
  await host.put(impatient, "[Service]\nWatchdogSec=6\n");
  await host.sh("systemctl daemon-reload && systemctl restart gilly");
  const frozen = await host.property("MainPID");
  const last = await host.lastEntry();
  await host.sh(`kill -STOP ${frozen}`);
  const killed = await host.journal.waitFor(/Watchdog timeout/, last);
  await host.journal.waitFor(/^Started gilly\.service/, killed);
  await stage.waitForStatus(/^Checked/);
  assertNotEquals(await host.property("MainPID"), frozen);
  assertEquals(await host.property("NRestarts"), "1");
  await host.sh(`rm ${impatient} && rmdir "$(dirname ${impatient})" && systemctl daemon-reload`);
  await host.sh("systemctl restart gilly");
}

async function kill(stage: Stage): Promise<void> {
  const { host } = stage;
  const last = await host.lastEntry();
  await host.sh("systemctl kill --signal=KILL gilly");
  await host.journal.waitFor(/^Started gilly\.service/, last);
  await stage.waitForStatus(/^Checked/);
  await host.lastEntry();
  const said = host.journal.since(last).filter(({ identifier }) => identifier === "gilly");
  assertEquals(said.filter(({ priority }) => priority <= 4), []);
}

async function startFirst(stage: Stage): Promise<void> {
  const { host, worker } = stage;
  await worker.stopKubelet();
  await worker.engine.stop();
  const last = await host.lastEntry();
  await host.sh("systemctl restart gilly");
  const { priority } = await host.journal.waitFor(/^\[GetPods\] {2}skipped this pass/, last);
  assertEquals(priority, 4);
  await worker.engine.start();
  await worker.kubelet.start();
  await host.journal.waitFor(/Established connection to kubelet/, last);
  await worker.seed(0, "acme/late:1");
  await worker.addPod({ name: "late", containers: [{ name: "app", image: "gcr.io/acme/late:1" }] });
  await worker.waitForRunning("late");
  await stage.waitForStatus(/1 repaired since start$/);
}

async function stopInPull(stage: Stage): Promise<void> {
  const { host, worker } = stage;
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const mirror = `127.0.0.1:${silent.addr.port}`;
  await withConfig(stage, `sed -i 's|"quay.io": .*|"quay.io": "${mirror}"|' ${CONFIG}`, async () => {
    const last = await host.lastEntry();
    await host.sh("systemctl reload gilly");
    await worker.addPod({ name: "slow", containers: [{ name: "app", image: "quay.io/acme/slow:1" }] });
    await host.journal.waitFor(new RegExp(`pulling image: ${mirror}`), last);
    await host.sh("systemctl stop gilly");
    const [from, to] = await Promise.all(
      ["ActiveExit", "InactiveEnter"].map(async (change) =>
        Number(await host.property(`${change}TimestampMonotonic`)) / 1000
      ),
    ) as [number, number];
    assertLess(to - from, 2000);
    assertEquals(await Promise.all(["Result", "ExecMainStatus"].map((name) => host.property(name))), ["success", "0"]);
    await worker.removePod("slow");
  });
  await host.sh("systemctl start gilly");
}

async function manyPods(stage: Stage): Promise<void> {
  const { host } = stage;
  await using kubelet = startCrowdedKubelet(1000);
  await host.put("/etc/gilly/crowded.crt", kubelet.caPem);
  const edit = `sed -i 's|url: .*|url: "${kubelet.url}"|; s|caFile: .*|caFile: /etc/gilly/crowded.crt|' ${CONFIG}`;
  await withConfig(stage, `${edit} && echo 'poll: {interval: 1s, safety: 1s}' >>${CONFIG}`, async () => {
    await host.sh("systemctl reload gilly");
    await kubelet.asked(10);
    await stage.waitForStatus(/^Checked 1000 pods/);
    const peak = await host.sh(
      'sed -n "s/^VmHWM:\\s*\\([0-9]*\\) kB/\\1/p" "/proc/$(systemctl show gilly --value -p MainPID)/status"',
    );
    const [used, allowed] = [Number(peak) / 1024, Number(await host.property("MemoryMax")) / 1024 / 1024];
    console.log(
      `1000 pods in ${(kubelet.bytes / 1e6).toFixed(1)} MB: peak ${used.toFixed(0)} of ${allowed.toFixed(0)} MB`,
    );
    assertLess(used, allowed);
  });
  const last = await host.lastEntry();
  await host.sh("rm /etc/gilly/crowded.crt && systemctl reload gilly");
  await host.journal.waitFor(/config\.yaml is in force/, last);
}

async function upgrade(stage: Stage): Promise<void> {
  const { host } = stage;
  const before = await host.sh(`echo '# mine' >>${CONFIG}; cat ${CONFIG}`);
  const binary = await Deno.readFile(GILLY);
  // Changing an unused byte of the ELF header makes it a different file that still runs.
  binary[15] = 1;
  await unpackRelease(host, binary, "99.0.0");
  const last = await host.lastEntry();
  const out = await host.sh(installer("99.0.0"));
  assertMatch(out, /^installed \/usr\/local\/bin\/gilly\n(.*\n)*gilly .* is installed and running/);
  await stage.waitForStatus(/^Checked/);
  await host.lastEntry();
  const said = host.journal.since(last).map(({ message }) => message);
  assertEquals(said.filter((message) => /^(Stopp|Start)ed gilly\.service/.test(message)).length, 2);
  assertEquals(await host.property("NRestarts"), "0");
  assertEquals(await host.sh(`cat ${CONFIG}`), before);
  await host.sh("cmp /usr/local/bin/gilly /root/gilly-99.0.0-linux-x64/gilly");
}

async function finishUpgrade({ host }: Stage): Promise<void> {
  const before = await host.property("InvocationID");
  await host.sh(
    "cp -p /usr/local/bin/gilly /usr/local/bin/gilly.new && mv /usr/local/bin/gilly.new /usr/local/bin/gilly",
  );
  assertStringIncludes(await host.sh(installer()), "is installed and running");
  const after = await host.property("InvocationID");
  assertNotEquals(after, before);
  assertStringIncludes(await host.sh(installer()), "nothing to do");
  assertEquals(await host.property("InvocationID"), after);
}

async function rotateCertificates(stage: Stage): Promise<void> {
  const { host, worker } = stage;
  const { caFile, serverCertFile, serverKeyFile } = worker.certificates;
  const putClient = async (contents: readonly string[]) => {
    for (const [index, name] of ["ca.crt", "client.crt", "client.key"].entries()) {
      await host.put(`/etc/gilly/${name}`, contents[index]!);
    }
  };
  await putClient(await Promise.all(["ca.crt", "client.crt", "client.key"].map((name) => host.sh(`cat pki/${name}`))));
  await host.sh(`sed -i 's|/run/credentials/gilly.service/kubelet-|/etc/gilly/|' ${CONFIG}`);
  const inForce = await host.lastEntry();
  await host.sh("systemctl reload gilly");
  await host.journal.waitFor(/config\.yaml is in force/, inForce);

  const before = await host.property("InvocationID");
  const last = await host.lastEntry();
  const authority = makeAuthority("another");
  const server = authority.issueServer({ dnsNames: ["localhost"] });
  const client = authority.issueClient({ commonName: "gilly" });
  await worker.stopKubelet();
  await host.journal.waitFor(/^\[GetPods\] {2}skipped this pass/, last);
  await Deno.writeTextFile(caFile, authority.certificatePem);
  await Deno.writeTextFile(serverCertFile, server.certificatePem);
  await Deno.writeTextFile(serverKeyFile, server.keyPem);
  await putClient([authority.certificatePem, client.certificatePem, client.keyPem]);
  await worker.kubelet.start();
  await host.journal.waitFor(/Established connection to kubelet/, last);
  await stage.waitForStatus(/^Checked/);
  assertEquals(await host.property("InvocationID"), before);
  const said = host.journal.since(last).map(({ message }) => message);
  assertEquals(said.filter((message) => message.includes("is in force")), []);
}

async function leave(stage: Stage, before: readonly string[]): Promise<void> {
  const { host } = stage;
  const out = await host.sh(`${installer()} --uninstall`);
  assertStringIncludes(out, "kept /etc/gilly /var/lib/gilly");
  assertEquals(await host.sh("ls /etc/gilly/config.yaml /var/lib/gilly/ledger.jsonl | wc -l"), "2");
  assertEquals(await host.property("LoadState"), "not-found");
  await host.sh(`${installer()} --purge`);
  assertEquals(changes(before, await filesOf(stage.host)), []);
  assertEquals((await host.run("ls -d /run/gilly /run/credentials/gilly.service")).out, "");
  assertEquals((await host.run("getent passwd gilly || getent group gilly")).out, "");
  assertEquals(await host.sh("systemctl is-system-running; systemctl --failed --no-legend"), "running");
  assert(!(await host.sh("ps ax -o args")).includes("/gilly run"));
}

/** Edits the config, runs `use`, and restores the config. */
async function withConfig({ host }: Stage, edit: string, use: () => Promise<void>): Promise<void> {
  await host.sh(`cp -p ${CONFIG} /root/config.before && ${edit}`);
  await use().finally(() => host.sh(`cp -p /root/config.before ${CONFIG}`));
}
