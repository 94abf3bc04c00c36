// The registry proxy and its redirect on a host booted by systemd: install.sh --proxy, what holds
// the two units together, and the way back. tests/e2e/redirect_test.ts has the real Engine.

import { assert, assertEquals, assertLess, assertMatch, assertStringIncludes } from "@std/assert";
import { GILLY, testIfPossible } from "../support/requirements.ts";
import { stepsOf } from "../support/steps.ts";
import { changes, filesOf } from "./files.ts";
import { bootHost, type Host } from "./host.ts";
import { installer, missingForRelease, unpackRelease, VERSION } from "./stage.ts";
import { putCredentials, putDockerSocket } from "./stand_ins.ts";

const CONFIG = "/etc/gilly/config.yaml";
const PKI = "/root/pki";
const FLAGS = "--mirror gcr.io=mirror.example --mirror quay.io=mirror.example/quay " +
  `--kubelet-ca ${PKI}/kubelet-ca.crt --kubelet-cert ${PKI}/kubelet-client.crt --kubelet-key ${PKI}/kubelet-client.key`;
const BLOCK = (hosts: string) => `# BEGIN gilly\n169.254.77.7 ${hosts} # gilly\n# END gilly\n`;
const LEADS = "gilly-redirect status >/dev/null";

testIfPossible("install.sh --proxy leads a host's pulls to the proxy, and back", missingForRelease(), async (t) => {
  await using host = await bootHost({ ownNetwork: true });
  await unpackRelease(host, await Deno.readFile(GILLY));
  await putCredentials(host, PKI);
  await host.sh("groupadd --gid 4242 docker");
  await putDockerSocket(host, "docker");
  await host.sh(`ip address add 10.99.0.1/32 dev lo && echo '10.99.0.1 worker' >>/etc/hosts
    ip link add uplink type veth peer name nowhere && ip link set uplink addrgenmode none
    ip address add 192.0.2.2/24 dev uplink && ip link set uplink up && ip link set nowhere up
    ip route add default via 192.0.2.1 && iptables -t nat -S >/dev/null`);
  const { step, failed } = stepsOf(t, host);

  const bare = await stateOf(host);
  await host.sh(`${installer()} ${FLAGS}`);
  const without = await stateOf(host);
  await step("it starts both units, once, and a second run changes nothing", install);
  assertEquals(failed, [], "what follows needs an installed proxy");
  await step("systemd finds no fault with the units, and rates the proxy's exposure at 1.2 or less", rateUnits);
  await step(
    "the proxy's user can read the mirrors' credentials, and not the kubelet's or Docker's socket",
    readsLittle,
  );
  await step("check, status and the metrics show it, in the layout that install.sh makes", showIt);
  await step("a killed proxy takes the redirect with it within two seconds, and both come back", killProxy);
  await step("a stopped proxy takes the redirect with it, and its start brings it back", stopProxy);
  await step("lost rules and lines are put back, and a reload puts other hosts in force", putBack);
  await step("a taken port is named, and the redirect is never there", portTaken);
  await step("an upgrade restarts the proxy, and its redirect is back", upgrade);
  await step("a redirect that is refused says why, and comes once the reason is gone", refused);
  await step("--no-proxy leaves what an installation without it is", async (host) => {
    await host.sh(`${installer()} --no-proxy && rm -r /var/lib/gilly-proxy`);
    assertEquals((await host.run("stat -c %G /etc/gilly/auth.json && rm /etc/gilly/auth.json")).out, "gilly");
    assertEquals(changes(without, await stateOf(host)), []);
    assertEquals(await host.sh("systemctl is-active gilly"), "active");
  });
  await step("a purge leaves the host as it was", async (host) => {
    await host.sh(`${installer()} --proxy && ${installer()} --purge`);
    assertEquals(changes(bare, await stateOf(host)), []);
    assertEquals((await host.run("getent passwd gilly gilly-proxy; getent group gilly gilly-proxy")).out, "");
  });
  if (failed.length > 0) console.error(await host.sh("journalctl --no-pager -n 80"));
  assertEquals(failed, [], "steps that failed");
});

/** All that an installation may change; the users and the ledgers are left out. */
async function stateOf(host: Host): Promise<string[]> {
  const more = await host.sh(
    "cat /etc/hosts; iptables -t nat -S; ip -o -4 address; systemctl list-unit-files 'gilly*' || :",
  );
  return [...await filesOf(host), ...more.split("\n")].filter((line) =>
    !/^\/etc(\/(passwd|group|g?shadow)-?)? /.test(line)
  );
}

async function install(host: Host): Promise<void> {
  const out = await host.sh(`${installer()} --proxy`);
  assertMatch(out, /^made the user gilly-proxy$/m);
  assertMatch(out, new RegExp(`^gilly ${VERSION}.* is installed and running`, "m"));
  assertEquals(await host.sh("systemctl is-active gilly gilly-proxy gilly-redirect"), "active\nactive\nactive");
  assertEquals(await host.sh("systemctl is-enabled gilly-proxy gilly-redirect"), "enabled\nenabled");
  assertEquals(await host.sh('ps -o user= -p "$(systemctl show gilly-proxy --value -p MainPID)"'), "gilly-proxy");
  assertStringIncludes(await host.sh("cat /etc/hosts"), BLOCK("gcr.io quay.io"));
  await host.sh(LEADS);
  const pids = "systemctl show gilly gilly-proxy gilly-redirect --value -p MainPID";
  const before = await host.sh(pids);
  assertMatch(await host.sh(installer()), /nothing to do$/);
  assertEquals(await host.sh(pids), before);
}

async function rateUnits(host: Host): Promise<void> {
  assertEquals(await host.sh("systemd-analyze verify gilly-proxy.service gilly-redirect.service 2>&1"), "");
  const exposure = async (unit: string) => {
    const report = await host.sh(`systemd-analyze security --no-pager ${unit}`);
    return Number(/Overall exposure level for \S+: ([\d.]+)/.exec(report)?.[1]);
  };
  const [proxy, gilly, redirect] = [
    await exposure("gilly-proxy"),
    await exposure("gilly"),
    await exposure("gilly-redirect"),
  ];
  console.log(`systemd-analyze security: gilly-proxy ${proxy}, gilly ${gilly}, gilly-redirect ${redirect}`);
  assertLess(proxy, 1.21);
  assertLess(gilly, 1.21);
}

async function readsLittle(host: Host): Promise<void> {
  const asProxy = (command: string) =>
    host.run(`setpriv --reuid gilly-proxy --regid gilly-proxy --init-groups ${command}`);
  await host.sh(
    `echo '{"auths": {}}' >/etc/gilly/auth.json && chmod 640 /etc/gilly/auth.json && chgrp gilly /etc/gilly/auth.json
    printf 'mirrors: {mirror.example: {authFile: auth.json}}\\n' >>${CONFIG} && ${installer()}`,
  );
  assertEquals((await asProxy("cat /etc/gilly/auth.json")).out, '{"auths": {}}');
  for (const secret of [`${PKI}/kubelet-client.key`, "/run/credentials/gilly.service/kubelet-client.key"]) {
    assertEquals((await asProxy(`cat ${secret}`)).code, 1, secret);
  }
  assertEquals((await asProxy("test -w /run/docker.sock")).code, 1);
  const pid = await host.sh("systemctl show gilly-proxy --value -p MainPID");
  assertEquals(await host.sh(`sed -n 's/^CapEff:\\t//p' /proc/${pid}/status`), "0000000000000000");
}

async function showIt(host: Host): Promise<void> {
  const findings: { name: string; verdict: string }[] = JSON.parse((await host.run("gilly check --json")).out);
  const names = ["registry proxy", "certificate of the proxy", "redirect"];
  assertEquals(findings.filter(({ name }) => names.includes(name)).map(({ verdict }) => verdict), ["ok", "ok", "ok"]);
  assertMatch(
    await host.sh("gilly status"),
    /^Registry proxy: serving gcr\.io, quay\.io at .*led to it: gcr\.io, quay\.io$/m,
  );
  assertMatch(
    await host.sh("systemctl status gilly-proxy"),
    /Status: "serving gcr\.io, quay\.io at 127\.0\.0\.1:12443: 0 pulls/,
  );
  await host.sh(`echo 'metrics: {listen: 9464}' >>${CONFIG} && systemctl reload gilly`);
  const scrape =
    `bash -c 'exec 3<>/dev/tcp/127.0.0.1/9464 && printf "GET /metrics HTTP/1.0\\r\\n\\r\\n" >&3 && cat <&3'`;
  const metrics = await host.sh(
    `timeout 20 sh -c 'until ss -Hltn sport = :9464 | grep -q .; do sleep 0.1; done' && ${scrape}`,
  );
  for (const series of ["gilly_proxy_up 1", 'gilly_proxy_redirected{registry="quay.io"} 1']) {
    assertStringIncludes(metrics, `\n${series}\n`);
  }
}

const named = async (host: Host) => (await host.sh("cat /etc/hosts")).includes("gcr.io");

async function killProxy(host: Host): Promise<void> {
  const gone = await host.sh(`systemctl kill -s KILL gilly-proxy
    for tenth in $(seq 20); do grep -q gilly /etc/hosts || { echo gone; break; }; sleep 0.1; done`);
  assertEquals(gone, "gone");
  await host.sh(`timeout 60 sh -c 'until ${LEADS}; do sleep 0.2; done'`);
}

async function stopProxy(host: Host): Promise<void> {
  await host.sh("systemctl stop gilly-proxy");
  assert(!await named(host));
  assertEquals((await host.run("systemctl is-active gilly-redirect")).out, "inactive");
  await host.sh("systemctl start gilly-proxy");
  await host.sh(`timeout 30 sh -c 'until ${LEADS}; do sleep 0.2; done'`);
}

async function putBack(host: Host): Promise<void> {
  const untilSaid = (words: string) =>
    host.sh(`timeout 60 journalctl -fu gilly-redirect -o cat -n 0 | grep -m 1 '${words}'`);
  const back = untilSaid("put the redirect back");
  await host.sh("iptables -t nat -F OUTPUT && sed -i '/gilly/d' /etc/hosts");
  assertMatch(await back, /^put the redirect back: gcr\.io quay\.io lead to the proxy at 127\.0\.0\.1:12443$/);
  await host.sh(LEADS);
  await host.sh(`cp -p ${CONFIG} /root/config.before && echo 'proxy: {hosts: [quay.io]}' >>${CONFIG}`);
  const reloaded = untilSaid("lead to the proxy");
  await host.sh("systemctl reload gilly");
  await reloaded;
  assertStringIncludes(await host.sh("cat /etc/hosts"), BLOCK("quay.io"));
  await host.sh(LEADS);
  const restored = untilSaid("lead to the proxy");
  await host.sh(`cp -p /root/config.before ${CONFIG} && systemctl reload gilly`);
  await restored;
}

async function portTaken(host: Host): Promise<void> {
  await host.sh("systemctl stop gilly-proxy");
  await host.put(
    "/root/taker",
    'use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalAddr => "0.0.0.0:12443", Listen => 1, ReuseAddr => 1) or die; print "up\\n"; sleep 600;',
  );
  await host.sh(
    "systemd-run --quiet --unit=taker perl /root/taker && timeout 20 sh -c 'until ss -Hltn sport = :12443 | grep -q .; do sleep 0.1; done'",
  );
  const { code, err } = await host.run(`chmod 700 /usr/local/bin/gilly && ${installer()}`);
  assertEquals(code, 1);
  assertMatch(
    err,
    /^install\.sh: gilly .* is installed, but the registry proxy did not start: port 12443 is taken by "perl" \(pid=\d+\): stop that program, or set proxy\.listen in \/etc\/gilly\/config\.yaml; repairs go on$/m,
  );
  assert(!await named(host));
  assertEquals(await host.sh("systemctl is-active gilly"), "active");
  await host.sh("systemctl stop taker");
  await host.sh(`timeout 60 sh -c 'until ${LEADS}; do sleep 0.2; done'`);
}

async function upgrade(host: Host): Promise<void> {
  const binary = await Deno.readFile(GILLY);
  // Changing an unused byte of the ELF header makes it a different file that still runs.
  binary[15] = 1;
  await unpackRelease(host, binary, "99.0.0");
  const before = await host.sh("systemctl show gilly-proxy --value -p MainPID");
  assertMatch(await host.sh(installer("99.0.0")), /is installed and running/);
  const after = await host.sh("systemctl show gilly-proxy --value -p MainPID");
  assert(before !== after);
  await host.sh(LEADS);
}

async function refused(host: Host): Promise<void> {
  await host.put("/run/systemd/system/gilly-redirect.service.d/sooner.conf", "[Service]\nRestartSec=3\n");
  await host.sh("systemctl daemon-reload && systemctl stop gilly-proxy && sed -i '1i 10.0.0.1 quay.io' /etc/hosts");
  for (const run of ["the first", "a second, which finds the proxy active"]) {
    const { code, err } = await host.run(installer());
    assertEquals(code, 1, run);
    assertMatch(
      err,
      /^install\.sh: gilly .* is installed, but pulls are not led to the registry proxy: \/etc\/hosts has '10\.0\.0\.1 quay\.io' already: remove that line, or leave quay\.io out of proxy\.hosts in \/etc\/gilly\/config\.yaml; repairs go on$/m,
    );
  }
  assertEquals(await host.sh("systemctl is-active gilly gilly-proxy"), "active\nactive");
  await host.sh("sed -i 1d /etc/hosts");
  await host.sh(`timeout 30 sh -c 'until ${LEADS}; do sleep 0.5; done'`);
  await host.sh("rm -r /run/systemd/system/gilly-redirect.service.d");
}
