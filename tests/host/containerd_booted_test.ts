// On a host booted by systemd, with a real containerd: the daemon repairs by the group of its socket,
// whether that is root's or one of its own.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { startCriContainerd } from "../e2e/containerd.ts";
import { missingPrograms, startRegistry } from "../e2e/engine.ts";
import { removeEverythingUnder } from "../e2e/leftovers.ts";
import { putImage, randomLayer } from "../e2e/registry_images.ts";
import { GILLY, testIfPossible } from "../support/requirements.ts";
import { bootHost, type Host } from "./host.ts";
import { installer, missingForRelease, unpackRelease } from "./stage.ts";
import { putCredentials } from "./stand_ins.ts";

/** Where the host sees the folder of containerd. */
const THERE = "/opt/containerd-here";
const DROP_IN = "/etc/systemd/system/gilly.service.d/30-containerd-group.conf";
const KEPT = "gcr.io/a/b:1";
const NO_CAPABILITIES = "0000000000000000";

const missing = [...missingForRelease(), ...missingPrograms(["containerd", "ctr", "docker-registry"])];

testIfPossible(
  "on a worker with containerd the daemon repairs by the group of the socket",
  missing,
  async (t) => {
    await using parts = new AsyncDisposableStack();
    const dir = await Deno.makeTempDir({ prefix: "gilly-host-containerd-" });
    parts.defer(() => removeEverythingUnder(dir));
    const containerd = parts.use(await startCriContainerd(`${dir}/containerd`));
    const mirror = await startRegistry(`${dir}/mirror`);
    parts.defer(() => mirror.stop());
    await putImage(mirror, "a/b", "1", [await randomLayer(1000)]);
    const host = parts.use(await bootHost({ binds: { [`${dir}/containerd`]: THERE } }));
    await unpackRelease(host, await Deno.readFile(GILLY));
    await putCredentials(host);

    await t.step("without a runtime, the refusal names both", async () => {
      const { code, err } = await host.run(installer());
      assertEquals(code, 1);
      assertMatch(
        err,
        /^install\.sh: neither \S+ nor a group docker exists: .*kubelet uses containerd: --runtime containerd$/,
      );
    });

    await t.step(
      "a socket of root alone gives the daemon root's group and no more, and the exposure is said",
      async () => {
        await host.sh(`mkdir /run/containerd && ln -s ${THERE}/containerd.sock /run/containerd/containerd.sock`);
        await host.sh(`chown root:root ${THERE}/containerd.sock`);
        const out = await host.sh(`${installer()} --no-start --mirror gcr.io=${mirror.host}`);
        assertStringIncludes(out, "found containerd, which the kubelet uses (no Docker is here)");
        assertStringIncludes(
          out,
          "containerd.sock by its group root: as with Docker's, whoever has that can become root here",
        );
        await host.sh(`echo 'keep: [${KEPT}]' >>/etc/gilly/config.yaml && systemctl start gilly`);
        await host.journal.waitFor(new RegExp(`tagged image: .* to ${KEPT}`));
        const [uid, group] = (await host.sh("id -u gilly; id -g gilly")).split("\n");
        assertEquals(await identityOf(host), { uid, capabilities: NO_CAPABILITIES, groups: `0 ${group}` });
        assertMatch(await checkOf(host), /^ok +containerd: containerd 1\.6/m);
      },
    );

    await t.step("a group of the socket is enough: the daemon is gilly, and repairs what was removed", async () => {
      // What containerd does at its start where its config has a gid.
      await host.sh(`groupadd --gid 4242 containerd && chgrp 4242 ${THERE}/containerd.sock`);
      const out = await host.sh(installer());
      assertStringIncludes(out, "containerd.sock by its group containerd: as with Docker's");
      assertMatch(await host.sh(`cat ${DROP_IN}`), /^SupplementaryGroups=containerd$/m);
      const gilly = await host.sh("id -u gilly; id -g gilly");
      const [uid, group] = gilly.split("\n");
      assertEquals(await identityOf(host), { uid, capabilities: NO_CAPABILITIES, groups: `${group} 4242` });
      const last = await host.lastEntry();
      await containerd.ctr("images", "rm", "--sync", KEPT);
      await host.journal.waitFor(new RegExp(`tagged image: .* to ${KEPT}`), last);
    });

    await t.step("a containerd that is stopped is named as such, by check and by the log", async () => {
      await containerd.stop();
      await host.journal.waitFor(/\[containerd\] +containerd at \S+ does not answer/);
      assertMatch(
        await checkOf(host),
        /^fail +containerd socket: .*\n +→ check containerd\.socket in the config; if .*: systemctl start containerd$/m,
      );
    });

    await t.step("nothing of it is left after a purge", async () => {
      await host.sh(`${installer()} --purge`);
      assertEquals(
        (await host.run(`ls -d ${DROP_IN.replace(/\/[^/]*$/, "")} /var/lib/gilly /etc/gilly 2>/dev/null`)).out,
        "",
      );
    });
  },
);

/** Returns who the daemon is, its effective capabilities, and its supplementary groups. */
async function identityOf(host: Host) {
  const status = await host.sh('cat "/proc/$(systemctl show gilly --value -p MainPID)/status"');
  const [uid] = /^Uid:\s*(\d+)/m.exec(status)!.slice(1);
  const [capabilities] = /^CapEff:\s*(\w+)/m.exec(status)!.slice(1);
  const [groups] = /^Groups:[ \t]*(.*)$/m.exec(status)!.slice(1);
  return { uid, capabilities, groups: groups!.trim() };
}

async function checkOf(host: Host): Promise<string> {
  return (await host.run("gilly check")).out;
}
