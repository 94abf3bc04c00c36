// What the unit can reach on a host booted by systemd, without a worker: only the addresses of its
// own host, and a Docker socket whose group has another name.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { blockBehind, readPage } from "../support/pages.ts";
import { GILLY, testIfPossible } from "../support/requirements.ts";
import { bootHost, type Host } from "./host.ts";
import { installer, missingForRelease, unpackRelease } from "./stage.ts";
import { putCredentials, putDockerSocket } from "./stand_ins.ts";

const DROP_INS = "/etc/systemd/system/gilly.service.d";
const OWN = "10.99.0.1";
const OTHER = "10.99.0.2";

testIfPossible("the unit reaches its own host and its Docker, and nothing else", missingForRelease(), async (t) => {
  await using host = await bootHost({ ownNetwork: true });
  await unpackRelease(host, await Deno.readFile(GILLY));
  await putCredentials(host);
  for (const address of [OWN, OTHER]) await host.sh(`ip address add ${address}/32 dev lo`);

  await t.step("a Docker socket of the group root is refused with advice", async () => {
    await putDockerSocket(host, "root");
    const { code, err } = await host.run(installer());
    assertEquals(code, 1);
    assertMatch(err, /^install\.sh: \S+docker\.sock belongs to group root: make a group docker .* and restart Docker$/);
  });

  await t.step("with the example as its config the service is enabled but not started", async () => {
    await host.sh("groupadd --gid 4242 containers");
    await putDockerSocket(host, "containers");
    const out = await host.sh(installer());
    assertMatch(
      out,
      /is installed and not started yet: edit \/etc\/gilly\/config\.yaml, then run: systemctl start gilly$/,
    );
    assertMatch(
      await host.sh("gilly-setup"),
      /^it is not started yet: edit \/etc\/gilly\/config\.yaml, then .*\ngilly .* is set up already, nothing to do$/,
    );
    const { out: states } = await host.run(
      "systemctl is-enabled gilly; systemctl is-active gilly; systemctl is-failed gilly",
    );
    assertEquals(states, "enabled\ninactive\ninactive");
    await host.sh("rm /etc/gilly/config.yaml");
  });

  await t.step("the commands of the operations page start one worker", async () => {
    const block = blockBehind(readPage("docs/operations.md"), "From a release archive");
    const { out } = await host.run(`mv /etc/gilly/kubelet-* .\n${block}`);
    assertMatch(out, /Active: active \(running\)/);
    assertMatch(out, /^ok +config: \/etc\/gilly\/config\.yaml is valid/m);
    await host.sh("systemctl stop gilly && rm /etc/gilly/config.yaml");
  });

  await t.step("the daemon gets the group of the Docker socket, and no other", async () => {
    const flags =
      `--kubelet-url https://${OWN}:10250 --mirror gcr.io=mirror.example --kubelet-ca /etc/gilly/kubelet-ca.crt`;
    const files = "--kubelet-cert /etc/gilly/kubelet-client.crt --kubelet-key /etc/gilly/kubelet-client.key";
    await host.sh(`${installer()} ${flags} ${files}`);
    assertMatch(await host.sh(`cat ${DROP_INS}/30-docker-group.conf`), /^SupplementaryGroups=containers$/m);
    const own = await host.sh("getent group gilly | cut -d: -f3");
    const groups = await host.sh(
      'sed -n "s/^Groups:\\s*//p" "/proc/$(systemctl show gilly --value -p MainPID)/status"',
    );
    assertEquals(groups.trim().split(/\s+/).sort(), ["4242", own].sort());
    assertStringIncludes(await host.sh("systemd-analyze verify gilly.service 2>&1; echo done"), "done");
  });

  await t.step("the unit may connect to the kubelet's address", async () => {
    assertMatch(await host.sh(`cat ${DROP_INS}/10-this-host.conf`), new RegExp(`^IPAddressAllow=.*${OWN}`, "m"));
    // Nothing listens there, but the refusal proves that the address was reached.
    await host.journal.waitFor(new RegExp(`skipped this pass: .*${OWN}.*refused`));
  });

  await t.step("processes of the unit get answers only from the host's own addresses", async () => {
    assertEquals(await connectAsUnit(host, "127.0.0.1"), "refused");
    assertEquals(await connectAsUnit(host, OWN), "refused");
    assertEquals(await connectAsUnit(host, OTHER), "no answer");
  });
});

/**
 * Connects to a port where nothing listens, from the control group with the unit's address filter.
 */
async function connectAsUnit(host: Host, address: string): Promise<"refused" | "no answer"> {
  const { out } = await host.run(`
    pid=$(systemctl show gilly --value -p MainPID)
    for mount in /sys/fs/cgroup/unified /sys/fs/cgroup; do
      group=$mount$(sed -n 's/^0:://p' "/proc/$pid/cgroup")/cgroup.procs
      if [ -e "$group" ]; then echo $$ >"$group" && break; fi
    done
    timeout 1 bash -c '</dev/tcp/${address}/10250' 2>/dev/null
    echo $?`);
  return out === "124" ? "no answer" : "refused";
}
