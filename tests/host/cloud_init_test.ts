// contrib/cloud-init by the real cloud-init, on the first boot of a host.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { PROJECT } from "../../tools/deno.ts";
import { blockBehind, readPage } from "../support/pages.ts";
import { testIfPossible } from "../support/requirements.ts";
import { fleetRelease } from "./fleet_release.ts";
import { fleetTree } from "./fleet_tree.ts";
import { bootHost, type Host } from "./host.ts";
import { missingForRelease } from "./stage.ts";
import { putCredentials } from "./stand_ins.ts";

const USER_DATA = `${PROJECT}contrib/cloud-init/user-data.yaml`;
const RELEASES = "http://127.0.0.1:8080";

// What a real host has: a network with the release on it, and Docker. cloud-init runs it before the
// user's data. The tree has no locales.
const VENDOR_DATA = `#cloud-config
locale: false
bootcmd:
  - groupadd --gid 4242 docker
  - systemd-run --no-block python3 -m http.server --bind 127.0.0.1 --directory /opt/release 8080
`;

testIfPossible("contrib/cloud-init installs a verified package on the first boot", missingForRelease(), async (t) => {
  await using release = await fleetRelease();
  await using seed = await seedFor(release.name, release.sum);
  await using host = await bootHost({
    tree: await fleetTree(),
    ownNetwork: true,
    binds: { [seed.folder]: "/var/lib/cloud/seed/nocloud", [release.folder]: "/opt/release" },
  });
  const said = await host.run("cloud-init status --wait --long; tail -n 30 /var/log/cloud-init-output.log");
  assertMatch(said.out, /^status: done$/m, `${said.out}${said.err}`);
  assertEquals((await host.run("cloud-init schema --config-file /var/lib/cloud/seed/nocloud/user-data")).code, 0);
  assertEquals(await host.sh("stat -c '%a %U:%G' /etc/gilly/config.yaml"), "640 root:gilly-proxy");
  assertEquals(await host.sh("stat -c '%a %U:%G' /etc/gilly"), "750 root:gilly-proxy");
  assertStringIncludes(await host.sh("cat /etc/gilly/config.yaml"), "gcr.io: mirror.example");
  assertEquals((await host.run("systemctl is-enabled gilly; ls /tmp/tmp.*")).out, "enabled");
  // The credentials come later, as the README says.
  assertMatch(said.out, /^gilly \S+ .*is set up/m);
  await putCredentials(host);
  await host.sh("chgrp gilly /etc/gilly/kubelet-*; systemctl start gilly");
  assertEquals(await host.sh("systemctl is-active gilly"), "active");
  await t.step("the loop of docs/fleet.md installs it by ssh only", () => installBySsh(host));
});

/** A fleet of one, this host: kubectl knows it, scp copies to it, and ssh runs on it. */
const FLEET = `
mkdir fleet
printf '#!/bin/sh\\necho node/worker\\n' >fleet/kubectl
printf '#!/bin/sh\\ncp "$1" "\${2#root@worker:}"\\n' >fleet/scp
printf '#!/bin/sh\\n[ "$1" = root@worker ] && exec sh -c "$2"\\n' >fleet/ssh
chmod +x fleet/*
PATH=/root/fleet:$PATH
cd /opt/release
`;

async function installBySsh(host: Host): Promise<void> {
  await host.sh("apt-get purge --quiet=2 --yes gilly");
  assertEquals((await host.run("ls -d /etc/gilly; command -v gilly")).out, "");
  const out = await host.sh(FLEET + blockBehind(readPage("docs/fleet.md"), "With ssh only"));
  assertMatch(out, /is set up and not started yet: get \/etc\/gilly\/kubelet-ca\.crt .* by gilly-credentials/);
  assertMatch(await host.sh("cat /etc/gilly/config.yaml"), /^ {2}"gcr\.io": \["docker\.repo\.eng\.netapp\.com"\]$/m);
}

/** A NoCloud seed with this release in the user's data. */
async function seedFor(name: string, sum: string): Promise<AsyncDisposable & { readonly folder: string }> {
  const replaced = (await Deno.readTextFile(USER_DATA))
    .replace(/release=\S+/, `release=${RELEASES}`)
    .replace(/package=\S+/, `package=${name}`)
    .replace(/sum=0{64}/, `sum=${sum}`);
  const folder = await Deno.makeTempDir({ prefix: "gilly-seed-" });
  await Deno.writeTextFile(`${folder}/user-data`, replaced);
  await Deno.writeTextFile(`${folder}/vendor-data`, VENDOR_DATA);
  await Deno.writeTextFile(`${folder}/meta-data`, "instance-id: worker\n");
  await Deno.writeTextFile(`${folder}/network-config`, "config: disabled\n");
  return { folder, [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }) };
}
