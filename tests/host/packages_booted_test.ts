// Both packages on a host booted by the systemd of Debian 13, without a worker. rpm is this
// machine's: it works on the host's files, and its scriptlets speak to the host's systemd.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { missingPrograms } from "../e2e/engine.ts";
import { missingForBinary, testIfPossible } from "../support/requirements.ts";
import { missingForHost } from "./base_tree.ts";
import { bootHost } from "./host.ts";
import { ADVICE, aptInstall, buildPackages, NEW, OLD, PACKAGES, rpm, rpmName, startsDuring } from "./packages.ts";
import { putCredentials, putDockerSocket } from "./stand_ins.ts";

const CONFIG = "/etc/gilly/config.yaml";
const SETUP = "gilly-setup --mirror gcr.io=mirror.example --kubelet-url https://127.0.0.1:10250" +
  " --kubelet-cert /root/pki/kubelet-client.crt --kubelet-key /root/pki/kubelet-client.key";
const STATE = "systemctl is-enabled gilly; systemctl is-active gilly";
// The redirect is up some time after the proxy.
const ALL_STATES = "timeout 30 sh -c 'until systemctl --quiet is-active gilly-redirect; do sleep 0.1; done';" +
  " systemctl is-active gilly gilly-proxy gilly-redirect";
const ALL_ACTIVE = "active\nactive\nactive";
const LEFT = "ls -d /usr/bin/gilly* /etc/gilly /var/lib/gilly* /run/gilly* /etc/systemd/system/gilly*" +
  " /etc/systemd/system/*/gilly* 2>/dev/null";

const missing = [
  ...missingForBinary(),
  ...missingForHost("trixie"),
  ...missingPrograms(["dpkg-deb", "rpmbuild", "rpm"]),
];

testIfPossible("on Debian 13 the .deb and the .rpm are installed, upgraded and removed", missing, async (t) => {
  await using parts = new AsyncDisposableStack();
  const directory = await Deno.makeTempDir({ prefix: "gilly-packages-" });
  parts.defer(() => Deno.remove(directory, { recursive: true }));
  await buildPackages(directory);
  const host = parts.use(await bootHost({ suite: "trixie", ownNetwork: true, binds: { [directory]: PACKAGES } }));
  await host.sh("groupadd --system docker");
  await putDockerSocket(host, "docker");
  await putCredentials(host, "/root/pki");
  // The redirect's address needs a route, and what is sent to it an address of its own.
  await host.sh("ip address add 10.99.0.1/32 dev lo && ip route add default dev lo");

  await t.step("apt installs the .deb, upgrades what runs, and purges it", async () => {
    assertStringIncludes(await host.sh(`${aptInstall(OLD)} 2>&1`), ADVICE);
    await host.sh("cp -p /etc/hosts /root/hosts.before");
    assertMatch(await host.sh(`${SETUP} --proxy`), /^gilly .* is set up and running/m);
    assertEquals(await host.sh(ALL_STATES), ALL_ACTIVE);
    assertEquals(await host.property("RestartUSec"), "2s", "systemd 257 has steps");
    assertEquals(await startsDuring(host, () => host.sh(aptInstall(NEW))), 1);
    assertEquals(await host.sh(ALL_STATES), ALL_ACTIVE);
    assertEquals(
      await host.sh("systemd-analyze verify gilly.service gilly-proxy.service gilly-redirect.service 2>&1"),
      "",
    );
    await host.sh("apt-get remove --quiet=2 --yes gilly </dev/null && cmp /etc/hosts /root/hosts.before");
    assertEquals(await host.sh("iptables -t nat -S OUTPUT"), "-P OUTPUT ACCEPT");
    await host.sh(aptInstall(NEW));
    assertEquals(await host.sh(ALL_STATES), ALL_ACTIVE);
    await host.sh(`echo 'pol: {interval: 1s}' >>${CONFIG}`);
    const refused = host.run(aptInstall(OLD));
    assertEquals(await startsDuring(host, () => refused), 0);
    assertMatch(
      (await refused).err,
      /^gilly: gilly\.service goes on as the old version: \S+config\.yaml:\d+: pol: .*poll/m,
    );
    assertEquals(await host.sh("systemctl is-active gilly gilly-proxy"), "active\nactive");
    await host.sh("apt-get purge --quiet=2 --yes gilly </dev/null");
    assertEquals((await host.run(LEFT)).out, "");
    assertEquals(await host.sh("cmp /etc/hosts /root/hosts.before; systemctl is-system-running"), "running");
  });

  await t.step("rpm installs the .rpm, upgrades what runs, and keeps an edited config", async () => {
    const path = (version: string) => `${directory}/${rpmName(version)}`;
    const { code, out, err } = await rpm(host, directory, "-i", path(OLD));
    assertEquals({ code, out, err }, { code: 0, out: ADVICE, err: "" });
    assertMatch(await host.sh(SETUP), /^gilly .* is set up and running/m);
    assertEquals(await startsDuring(host, () => rpm(host, directory, "-U", path(NEW))), 1);
    assertEquals(await host.sh(STATE), "enabled\nactive");
    await host.sh("systemctl disable --now --quiet gilly");
    assertEquals((await rpm(host, directory, "-U", "--oldpackage", path(OLD))).code, 0);
    assertEquals((await host.run(STATE)).out, "disabled\ninactive");
    await host.sh("systemctl start gilly");
    assertEquals((await rpm(host, directory, "-e", "gilly")).err, `warning: ${CONFIG} saved as ${CONFIG}.rpmsave`);
    assertEquals((await host.run(STATE)).out, "not-found\ninactive");
    assertEquals((await host.run(LEFT)).out.split("\n").filter((path) => path.startsWith("/usr")), []);
    assertEquals(await host.sh("systemctl is-system-running"), "running");
  });
});
