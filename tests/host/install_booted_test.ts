// install.sh on a host booted by systemd, without a worker: unusual hosts, decisions of the
// administrator, and what it prints when the service does not start.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { blockBehind, readPage } from "../support/pages.ts";
import { GILLY, testIfPossible } from "../support/requirements.ts";
import { stepsOf } from "../support/steps.ts";
import { bootHost, type Host } from "./host.ts";
import { installer, missingForRelease, unpackRelease, VERSION } from "./stage.ts";
import { putCredentials, putDockerSocket } from "./stand_ins.ts";

const DROP_INS = "/etc/systemd/system/gilly.service.d";
const OWN = "10.99.0.1";
const PKI = "/root/pki";
const FLAGS = `--mirror gcr.io=mirror.example --kubelet-ca ${PKI}/kubelet-ca.crt ` +
  `--kubelet-cert ${PKI}/kubelet-client.crt --kubelet-key ${PKI}/kubelet-client.key`;

testIfPossible("install.sh on hosts of all kinds", missingForRelease(), async (t) => {
  await using host = await bootHost({ ownNetwork: true });
  await unpackRelease(host, await Deno.readFile(GILLY));
  await putCredentials(host, PKI);
  await host.sh("groupadd --gid 4242 docker");
  await putDockerSocket(host, "docker");
  await host.sh(`ip address add ${OWN}/32 dev lo && echo '${OWN} worker' >>/etc/hosts`);
  const { step, failed } = stepsOf(t, host);

  await step("a release on a noexec file system is refused with a better place", noexec);
  await step("a read-only /usr is refused before anything is changed, and --prefix avoids it", readOnly);
  await step("flags that make an invalid config leave nothing, and corrected flags start the service", correct);
  await step("a service that was disabled or masked stays so", respectDecisions);
  await step("a missing credential file is named, and systemd does not retry forever", missingCredential);
  await step("OnFailure= as the pages have it reports what systemd does not restart, and nothing else", onFailure);
  await step("a failed start is explained with systemd's own result", explain);
  await step("settings that systemd has not read yet take effect", reloadDropIns);
  await step("the first boot of an image finds the host's own addresses", firstBoot);
  await step("systemd 239 gets a unit without the settings it does not know", oldSystemd);
  assertEquals(failed, [], "steps that failed");
});

async function noexec(host: Host): Promise<void> {
  await host.sh("mount -t tmpfs -o noexec tmpfs /mnt && cp -r gilly-*-linux-x64 /mnt/");
  const { code, out, err } = await host.run(`/bin/sh /mnt/gilly-${VERSION}-linux-x64/install.sh`);
  await host.sh("umount /mnt");
  assertEquals({ code, out }, { code: 1, out: "" });
  assertEquals(
    err,
    `install.sh: /mnt/gilly-${VERSION}-linux-x64/gilly is on a file system mounted noexec: unpack it elsewhere, such as /root`,
  );
}

async function readOnly(host: Host): Promise<void> {
  await host.sh("mount --bind /usr /usr && mount -o remount,ro,bind /usr");
  const { code, out, err } = await host.run(`${installer()} ${FLAGS}`);
  assertEquals({ code, out }, { code: 1, out: "" });
  assertEquals(
    err,
    "install.sh: /usr/local/bin cannot be written, its file system is read-only: " +
      "choose another place, such as --prefix /opt/gilly",
  );
  assertMatch(await host.sh(`${installer()} --prefix /opt/gilly ${FLAGS}`), /is installed and running/);
  assertEquals(
    await host.sh('readlink "/proc/$(systemctl show gilly --value -p MainPID)/exe"'),
    "/opt/gilly/bin/gilly",
  );
  await host.sh(`${installer()} --purge && umount --lazy /usr`);
  assertEquals((await host.run("ls -d /opt/gilly")).out, "");
}

async function correct(host: Host): Promise<void> {
  const { code, err } = await host.run(`${installer()} ${FLAGS.replace("mirror.example", "https://mirror.example")}`);
  assertEquals(code, 1);
  assertMatch(err, /^install\.sh: the flags make a config that Gilly refuses: registries\."gcr\.io"\[0\]: /);
  assertEquals((await host.run("ls -d /etc/gilly; getent passwd gilly")).out, "");
  assertMatch(await host.sh(`${installer()} ${FLAGS}`), /is installed and running/);
  assertMatch(await host.sh(`${installer()} --mirror quay.io=other.example`), /is installed and running/);
  assertStringIncludes(await host.sh("cat /etc/gilly/config.yaml"), '"quay.io": ["other.example"]');
  await host.journal.waitFor(/no answer from https:\/\/worker:10250\/pods/);
  assertStringIncludes(await host.sh(`${installer()} ${FLAGS}`), "is installed and running");
}

async function respectDecisions(host: Host): Promise<void> {
  const states = async () => (await host.run("systemctl is-enabled gilly; systemctl is-active gilly")).out;
  await host.sh("systemctl disable --now --quiet gilly");
  const touched = `touch -d '2 days ago' /usr/local/bin/gilly && chmod 700 /usr/local/bin/gilly`;
  assertMatch(
    await host.sh(`${touched} && ${installer()}`),
    /and not started, since it is disabled: systemctl enable --now gilly$/,
  );
  assertEquals(await states(), "disabled\ninactive");
  await host.sh("systemctl enable --now --quiet gilly && systemctl mask --now gilly");
  assertEquals(await states(), "masked\ninactive");
  assertMatch(
    await host.sh(`${touched} && ${installer()}`),
    /and not started, since it is masked: systemctl unmask gilly$/,
  );
  assertEquals(await states(), "masked\ninactive");
  await host.sh("systemctl unmask gilly && systemctl start gilly");
  assertEquals(await states(), "enabled\nactive");
}

async function missingCredential(host: Host): Promise<void> {
  await host.sh(`systemctl stop gilly && mv ${PKI}/kubelet-client.key ${PKI}/away`);
  assertNotStarted(await host.run("systemctl start gilly"));
  const states = ["ActiveState", "SubState", "ExecMainStatus", "NRestarts"].map((name) => host.property(name));
  assertEquals(await Promise.all(states), ["failed", "failed", "243", "0"]);
  const out = await host.sh(`chmod 700 /usr/local/bin/gilly && ${installer()}`);
  assertMatch(
    out,
    /not started yet: put \/root\/pki\/kubelet-client\.key in place, then run: systemctl start/,
  );
  await host.sh(`mv ${PKI}/away ${PKI}/kubelet-client.key && systemctl start gilly`);
}

async function onFailure(host: Host): Promise<void> {
  const page = readPage("docs/monitoring.md");
  await host.put(`${DROP_INS}/50-on-failure.conf`, blockBehind(page, "With `OnFailure=` systemd starts"));
  await host.put(
    "/etc/systemd/system/gilly-failed@.service",
    blockBehind(page, "In `/etc/systemd/system/gilly-failed@"),
  );
  await host.put(`${DROP_INS}/60-soon.conf`, "[Service]\nRestartSec=100ms\n");
  await host.put(
    "/usr/bin/mail",
    '#!/bin/sh\n{ echo "$@"; cat; } >/root/mail.part && mv /root/mail.part /root/mail\n',
    0o755,
  );
  await host.sh("systemctl daemon-reload && systemctl restart gilly");

  const until = (condition: string) =>
    host.sh(`for try in $(seq 200); do ${condition} && exit; sleep 0.1; done; exit 1`);
  await host.sh("systemctl kill --signal=KILL gilly");
  await until(
    '[ "$(systemctl show --property=NRestarts,ActiveState gilly)" = "$(printf "NRestarts=1\\nActiveState=active")" ]',
  );
  await host.sh("systemctl stop gilly");
  assertEquals(
    await host.sh("systemctl show --value --property=InactiveExitTimestampMonotonic gilly-failed@gilly"),
    "0",
  );
  assertEquals((await host.run("ls /root/mail")).out, "");

  await host.sh("cp -p /etc/gilly/config.yaml /root/good.yaml && echo 'bogus: 1' >>/etc/gilly/config.yaml");
  assertNotStarted(await host.run("systemctl start gilly"));
  await until("[ -e /root/mail ]");
  const mail = await host.sh("cat /root/mail");
  assertMatch(mail, /^-s gilly failed on worker root\n.*gilly\.service/);
  assertMatch(mail, /status=78/);
  await host.sh(
    `cp -p /root/good.yaml /etc/gilly/config.yaml && rm ${DROP_INS}/50-on-failure.conf ${DROP_INS}/60-soon.conf`,
  );
  await host.sh("systemctl daemon-reload");

  // What node_exporter's systemd collector sees, for the alert GillyServiceStopped.
  const listed = "systemctl list-units --all --plain --no-legend gilly.service";
  await host.sh("systemctl start gilly && systemctl stop gilly");
  assertMatch(await host.sh(listed), /^gilly\.service loaded inactive dead/);
  await host.sh("systemctl disable --quiet gilly");
  assertEquals(await host.sh(listed), "");
  await host.sh("systemctl enable --now --quiet gilly");
}

const NO_CREDENTIAL = /names is missing or cannot be read \(243\/CREDENTIALS\): Failed .*: see \S+\.conf,/;

const NOT_RUN = /systemd cannot run \/usr\/local\/bin\/gilly \(203\/EXEC\): Failed .*noexec/;

const FAILURES: readonly (readonly [string, RegExp, "journald is late"?])[] = [
  ["LoadCredential=more:/nowhere/more", NO_CREDENTIAL],
  ["LoadCredential=more:/nowhere/more", NO_CREDENTIAL, "journald is late"],
  ["ExecStart=\nExecStart=/nowhere/gilly run", NOT_RUN],
  ["ExecStart=\nExecStart=/nowhere/gilly run", NOT_RUN, "journald is late"],
  ["User=nobody-here", /the user gilly or the group docker does not exist \(217\): Failed .*: make it, then run/],
  ["BindPaths=/nowhere", /cannot set up the sandbox \(226\/NAMESPACE\): Failed .*: weaken it in a drop-in/],
  [
    "TimeoutStartSec=1\nExecStartPre=/bin/sleep 9\nNoExecPaths=",
    /it was not ready within TimeoutStartSec= \(timeout\)/,
  ],
];

/** Runs the installer, and lets journald read what was said only once whoever said it has ended. */
const WHILE_JOURNALD_STANDS = `
  journald=$(systemctl show --value --property=MainPID systemd-journald)
  systemctl reset-failed gilly
  kill -STOP "$journald"
  ${installer()} &
  until [ "$(systemctl show --value --property=Result gilly)" = exit-code ]; do sleep 0.1; done
  kill -CONT "$journald"
  wait $!`;

async function explain(host: Host): Promise<void> {
  for (const [setting, expected, journaldIsLate] of FAILURES) {
    await host.put(`${DROP_INS}/broken.conf`, `[Service]\nRestart=no\n${setting}\n`);
    const { code, err } = await host.run(journaldIsLate ? WHILE_JOURNALD_STANDS : installer());
    assertEquals(code, 1, setting);
    const last = err.split("\n").at(-1)!;
    assertMatch(last, /^install\.sh: gilly .* is installed but did not start: /);
    assertMatch(last, expected);
  }
  await host.sh(`rm ${DROP_INS}/broken.conf`);
  assertMatch(await host.sh(installer()), /is installed and running/);
}

async function reloadDropIns(host: Host): Promise<void> {
  await host.put(`${DROP_INS}/memory.conf`, "[Service]\nMemoryMax=700M\n");
  assertEquals(await host.property("NeedDaemonReload"), "yes");
  assertMatch(
    await host.sh("gilly-setup --no-start"),
    /^gilly .* is set up and not restarted \(--no-start\): systemctl restart gilly$/,
  );
  await host.put(`${DROP_INS}/memory.conf`, "[Service]\nMemoryMax=700M\n\n");
  assertMatch(await host.sh(installer()), /is installed and running/);
  assertEquals(await Promise.all(["NeedDaemonReload", "MemoryMax"].map((name) => host.property(name))), [
    "no",
    String(700 * 1024 * 1024),
  ]);
  assertStringIncludes(await host.sh(installer()), "nothing to do");
}

// Copies what `--root` leaves in an image to this host, as if it had booted from that image.
async function firstBoot(host: Host): Promise<void> {
  await host.sh(`mkdir image && ${installer()} --root /root/image --mirror gcr.io=mirror.example`);
  const link = "etc/systemd/system/multi-user.target.wants/gilly-this-host.service";
  await host.sh(`cd image && cp --parents --no-dereference ${link} / && rm ${DROP_INS}/10-this-host.conf`);
  await host.sh("systemctl daemon-reload && systemctl stop gilly");
  assertEquals((await host.property("IPAddressAllow")).includes(OWN), false);
  await host.sh("systemctl start --job-mode=ignore-dependencies gilly-this-host && systemctl start gilly");
  assertStringIncludes(await host.property("IPAddressAllow"), OWN);
  assertMatch(await host.sh(`cat ${DROP_INS}/10-this-host.conf`), new RegExp(`^IPAddressAllow=.*${OWN}`, "m"));
  await host.sh(installer());
  assertEquals((await host.run(`ls /${link}`)).out, "");
}

/**
 * The settings of the unit that systemd 239 does not know (RHEL 8, load-fragment-gperf.gperf.m4 and
 * conf-parser.c).
 */
const UNKNOWN_TO_239 = "ProtectHostname ProtectKernelLogs ProtectClock ProtectProc ProcSubset PrivateIPC NoExecPaths " +
  "ExecPaths SocketBindDeny SocketBindAllow RestartSteps RestartMaxDelaySec";

async function oldSystemd(host: Host): Promise<void> {
  await host.put(
    "/root/old/systemctl",
    '#!/bin/sh\n[ "$1" = --version ] && exec echo "systemd 239"\nexec /bin/systemctl "$@"\n',
    0o755,
  );
  const complain =
    `for name in ${UNKNOWN_TO_239}; do echo "x:1: Unknown lvalue '$name' in section 'Service'" >&2; done`;
  await host.put("/root/old/systemd-analyze", `#!/bin/sh\n${complain}\n`, 0o755);
  await host.sh(`${installer()} --purge`);
  const { code, err } = await host.run(`PATH=/root/old:$PATH ${installer()} ${FLAGS}`);
  assertEquals(code, 1);
  assertMatch(
    err,
    /systemd 239 cannot load \S+ for the daemon \(LoadCredential= came with 247\): copy it into \/etc\/gilly$/,
  );
  await host.sh(`mkdir /etc/gilly && cp ${PKI}/* /etc/gilly/ && chmod 755 /etc/gilly && chmod 644 /etc/gilly/*`);
  const out = await host.sh(`PATH=/root/old:$PATH ${installer()} ${FLAGS.replaceAll(PKI, "/etc/gilly")}`);
  assertMatch(out, /^this host's systemd 239 does not know .*NoExecPaths.*: left out of the unit$/m);
  assertMatch(out, /is installed and running/);
  const unit = await host.sh("systemctl cat gilly");
  for (const name of UNKNOWN_TO_239.split(" ")) assertEquals(new RegExp(`^${name}=`, "m").test(unit), false, name);
  assertEquals(await host.property("RestartUSec"), "5s");
}

function assertNotStarted({ code, err }: { readonly code: number; readonly err: string }): void {
  assertEquals(code, 1);
  assertMatch(err, /^Job for gilly\.service failed/);
}
