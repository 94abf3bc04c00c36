// The life of a package on a bare host booted by systemd: apt, gilly-setup, and then systemctl.
// Docker and the kubelet are a real worker's.

import { assertEquals, assertMatch, assertNotEquals, assertStringIncludes } from "@std/assert";
import { missingPrograms } from "../e2e/engine.ts";
import { testIfPossible } from "../support/requirements.ts";
import { stepsOf } from "../support/steps.ts";
import { changes, filesOf } from "./files.ts";
import { ADVICE, aptInstall, buildPackages, NEW, OLD, PACKAGES, startsDuring } from "./packages.ts";
import { missingForInstalledHost, Stage } from "./stage.ts";

const CONFIG = "/etc/gilly/config.yaml";

const missing = [...missingForInstalledHost(), ...missingPrograms(["dpkg-deb", "rpmbuild"])];

testIfPossible("a bare host installs the .deb with apt, upgrades it, removes it and purges it", missing, async (t) => {
  await using parts = new AsyncDisposableStack();
  const directory = await Deno.makeTempDir({ prefix: "gilly-packages-" });
  parts.defer(() => Deno.remove(directory, { recursive: true }));
  await buildPackages(directory);
  const stage = parts.use(await Stage.withoutRelease({ [directory]: PACKAGES }));
  await stage.bringDocker();
  const before = await filesOf(stage.host);
  const { step, failed } = stepsOf(t, stage);

  await step("beside an installation by install.sh the package is refused", refusedBesideInstallSh);
  await step("apt installs it: enabled, not started, and the next step is said", install);
  assertEquals(failed, [], "what follows needs an installed gilly");
  await step("gilly-setup starts it, and a pod is repaired", setUp);
  await step("an upgrade restarts it once, asks nothing, and the repair still works", upgrade);
  await step("what an administrator disabled, stopped or masked stays so", decisions);
  await step("a removal keeps config and ledger, and the next installation goes on with them", removeAndReturn);
  await step("a purge leaves the host as it was", (stage) => purge(stage, before));
  if (failed.length > 0) console.error(await stage.host.sh("journalctl --no-pager -n 60"));
  assertEquals(failed, [], "steps that failed");
});

async function refusedBesideInstallSh({ host }: Stage): Promise<void> {
  const unit = "/usr/local/lib/systemd/system/gilly.service";
  await host.put(unit, "[Service]\nExecStart=/usr/local/bin/gilly run --config /etc/gilly/config.yaml\n");
  const before = await filesOf(host);
  const { code, err } = await host.run(aptInstall(OLD));
  assertNotEquals(code, 0);
  assertMatch(err, new RegExp(`^gilly: ${unit} is from install.sh: run 'install.sh --uninstall' first; .* stay$`, "m"));
  const changed = changes(before, await filesOf(host));
  assertEquals(changed.filter((line) => !/ \/var\/(lib\/(dpkg|apt)|cache|log)\b/.test(line)), []);
  await host.sh(`rm -r /usr/local/lib/systemd`);
}

async function install({ host }: Stage): Promise<void> {
  const out = await host.sh(`${aptInstall(OLD)} 2>&1`);
  assertStringIncludes(out, ADVICE);
  assertEquals(
    (await host.run("systemctl is-enabled gilly; systemctl is-active gilly gilly-proxy")).out,
    "enabled\ninactive\ninactive",
  );
  assertEquals(await host.sh(`stat -c '%a %U:%G' /etc/gilly ${CONFIG}`), "750 root:gilly-proxy\n640 root:gilly-proxy");
  assertMatch(
    await host.sh("dpkg-query --show --showformat='${Conffiles}' gilly"),
    /^ \/etc\/gilly\/config\.yaml \w{32}$/,
  );
  assertEquals(await host.property("RestartUSec"), "5s", "systemd 252 does not know RestartSteps=");
  assertMatch(await host.sh("id gilly"), /groups=\d+\(gilly\),\d+\(gilly-proxy\)/);
  assertEquals(await host.sh("systemctl --failed --no-legend"), "");
}

async function setUp(stage: Stage): Promise<void> {
  const { host } = stage;
  assertMatch(await host.sh(`gilly-setup ${stage.flags()}`), /^gilly .* is set up and running/m);
  assertEquals(await host.sh("systemctl is-active gilly"), "active");
  await repair(stage, "first");
  await stage.worker.waitForRunning("first");
  assertStringIncludes(await host.sh("gilly-setup"), "nothing to do");
}

/** Adds a pod whose image only the mirror has, and waits for its repair. */
async function repair({ host, worker }: Stage, name: string): Promise<void> {
  await worker.seed(0, `acme/${name}:1`);
  const last = await host.lastEntry();
  await worker.addPod({ name, containers: [{ name: "app", image: `gcr.io/acme/${name}:1` }] });
  await host.journal.waitFor(new RegExp(`repaired gcr\\.io/acme/${name}:1 `), last);
}

async function upgrade(stage: Stage): Promise<void> {
  const { host } = stage;
  const config = await host.sh(`cat ${CONFIG}`);
  assertEquals(await startsDuring(host, () => host.sh(aptInstall(NEW))), 1);
  assertEquals(await host.sh('readlink "/proc/$(systemctl show gilly --value -p MainPID)/exe"'), "/usr/bin/gilly");
  assertEquals(await host.sh(`cat ${CONFIG}; ls /etc/gilly`), `${config}\nconfig.yaml`);
  await stage.waitForStatus(/^Checked/);
  await repair(stage, "second");
}

async function decisions({ host }: Stage): Promise<void> {
  const state = "systemctl is-enabled gilly; systemctl is-active gilly";
  await host.sh("systemctl disable --now --quiet gilly");
  await host.sh(aptInstall(OLD));
  assertEquals((await host.run(state)).out, "disabled\ninactive");
  await host.sh("systemctl enable --quiet gilly");
  await host.sh(aptInstall(NEW));
  assertEquals((await host.run(state)).out, "enabled\ninactive");
  await host.sh("systemctl mask --quiet gilly");
  await host.sh(aptInstall(OLD));
  assertEquals((await host.run(state)).out, "masked\ninactive");
  await host.sh("systemctl unmask --quiet gilly && systemctl start gilly");
}

async function removeAndReturn(stage: Stage): Promise<void> {
  const { host } = stage;
  const kept = `cat ${CONFIG} /var/lib/gilly/ledger.jsonl | sha256sum`;
  await stage.waitForStatus(/^Checked/);
  const before = await host.sh(kept);
  await host.sh("apt-get remove --quiet=2 --yes gilly </dev/null");
  assertEquals(await host.sh(kept), before);
  assertEquals((await host.run("systemctl is-active gilly; ls /usr/bin/gilly* 2>/dev/null")).out, "inactive");
  assertEquals(await host.sh("systemctl --failed --no-legend"), "");
  await host.sh(aptInstall(NEW));
  assertEquals(await host.sh("systemctl is-enabled gilly; systemctl is-active gilly"), "enabled\nactive");
  await repair(stage, "third");
}

async function purge({ host }: Stage, before: readonly string[]): Promise<void> {
  await host.sh("apt-get purge --quiet=2 --yes gilly </dev/null");
  const others = / \/(var\/(lib\/(dpkg|apt)|cache|log)\b|etc\/(passwd|group|shadow|gshadow|subuid|subgid) )/;
  assertEquals(changes(before, await filesOf(host)).filter((line) => !others.test(line)), []);
  assertEquals((await host.run("ls -d /var/lib/gilly* /etc/gilly /run/gilly* 2>/dev/null")).out, "");
  assertEquals(await host.sh("systemctl is-system-running; systemctl --failed --no-legend"), "running");
}
