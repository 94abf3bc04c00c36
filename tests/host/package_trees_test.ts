// The packages in a tree that no systemd runs: their scriptlets run there, and start nothing.

import { assertEquals, assertMatch, assertNotEquals, assertStringIncludes } from "@std/assert";
import { missingPrograms } from "../e2e/engine.ts";
import { missingForBinary, testIfPossible } from "../support/requirements.ts";
import { missingForHost } from "./base_tree.ts";
import { makePackageTree, type PackageTree } from "./package_tree.ts";
import { buildPackages, debName, NEW, OLD, rpm, rpmName } from "./packages.ts";

const CONFIG = "/etc/gilly/config.yaml";
const UNIT = "/usr/local/lib/systemd/system/gilly.service";
const LED = "/etc/containerd/certs.d/gcr.io/hosts.toml";
const ENABLED = "systemctl is-enabled gilly.service gilly-this-host.service";
const MODES = `stat -c '%a %U:%G' /etc/gilly ${CONFIG}`;
const EXPECTED_MODES = "750 root:gilly-proxy\n640 root:gilly-proxy";

const missing = [
  ...missingForBinary(),
  ...missingForHost(),
  ...missingPrograms(["dpkg-deb", "rpmbuild", "rpm", "mount", "chroot"]),
];

testIfPossible(
  "in a tree that is not running, both packages are installed, upgraded and removed",
  missing,
  async (t) => {
    await using parts = new AsyncDisposableStack();
    const directory = await Deno.makeTempDir({ prefix: "gilly-packages-" });
    parts.defer(() => Deno.remove(directory, { recursive: true }));
    await buildPackages(directory);

    await t.step("dpkg: enabled, and what is particular to a host is left to its first boot", async () => {
      await using tree = await makePackageTree();
      const dpkg = (...args: string[]) => tree.outside("dpkg", `--root=${tree.path}`, "--log=/dev/null", ...args);
      await tree.sh("useradd --shell /bin/bash gilly");
      const { code, err } = await dpkg("--install", `${directory}/${debName(OLD)}`);
      assertNotEquals(code, 0);
      assertMatch(err, /^gilly: the account gilly has the shell \/bin\/bash, so it is a person's: rename it first$/m);
      await tree.sh("userdel gilly");
      assertEquals((await dpkg("--install", `${directory}/${debName(OLD)}`)).err, "");
      assertEquals(await tree.sh(`${ENABLED}; ${MODES}`), `enabled\nenabled\n${EXPECTED_MODES}`);
      assertMatch(await tree.sh("id gilly"), /groups=\d+\(gilly\),\d+\(gilly-proxy\)$/);
      const setup = "gilly-setup --mirror gcr.io=mirror.example";
      assertMatch((await tree.run(setup)).err, /^gilly-setup: \/proc is not mounted here: run 'mount .*' first$/);
      assertMatch(
        await tree.sh(`mount -t proc proc /proc && ${setup}; umount /proc`),
        /^installed \/etc\/gilly\/config\.yaml\n.*^gilly .* is set up and ready for the first boot of this tree$/ms,
      );
      assertStringIncludes(await tree.sh(`cat ${CONFIG}`), '"gcr.io": ["mirror.example"]');
      await tree.sh("systemctl disable gilly.service 2>/dev/null");
      assertEquals((await dpkg("--install", `${directory}/${debName(NEW)}`)).code, 0);
      assertEquals((await tree.run(ENABLED)).out, "disabled\nenabled");
      await tree.sh(
        `touch /etc/gilly/proxy.crt && mkdir -p "$(dirname ${LED})" && echo 'ca = "/etc/gilly/proxy.crt"' >${LED}`,
      );
      assertStringIncludes(
        (await dpkg("--purge", "gilly")).err,
        `kept /etc/gilly/proxy.crt, which pulls of this host need: remove ${LED} first`,
      );
      const left = "find /etc/gilly /var/lib/gilly* /etc/systemd/system/*/gilly* 2>/dev/null";
      assertEquals((await tree.run(left)).out, "/etc/gilly\n/etc/gilly/proxy.crt");
    });

    await t.step("rpm: its preset enables it, and an edited config outlives an upgrade and a removal", async () => {
      await using tree = await makePackageTree();
      await beside(tree, directory);
      assertEquals((await rpm(tree, directory, "-i", `${directory}/${rpmName(OLD)}`)).err, "");
      assertEquals(await tree.sh(`${ENABLED}; ${MODES}`), `enabled\nenabled\n${EXPECTED_MODES}`);
      assertEquals((await rpm(tree, directory, "-V", "gilly")).out, "");
      await tree.sh(`systemctl disable gilly.service 2>/dev/null; echo '# mine' >>${CONFIG}; mkdir -p /var/lib/gilly`);
      assertEquals((await rpm(tree, directory, "-U", `${directory}/${rpmName(NEW)}`)).code, 0);
      assertEquals((await tree.run(ENABLED)).out, "disabled\nenabled");
      assertEquals(await tree.sh(`tail -n 1 ${CONFIG}; ls /etc/gilly`), "# mine\nconfig.yaml");
      const { code, err } = await rpm(tree, directory, "-e", "gilly");
      assertEquals({ code, err }, { code: 0, err: `warning: ${CONFIG} saved as ${CONFIG}.rpmsave` });
      assertEquals(
        (await tree.run("ls -d /var/lib/gilly /usr/bin/gilly* /etc/systemd/system/*/gilly* 2>/dev/null")).out,
        "/var/lib/gilly",
      );
    });
  },
);

/** Checks that a package beside an installation by install.sh changes nothing. */
async function beside(tree: PackageTree, directory: string): Promise<void> {
  await tree.sh(`mkdir -p "$(dirname ${UNIT})" && echo 'ExecStart=/usr/local/bin/gilly run' >${UNIT}`);
  const { code, err } = await rpm(tree, directory, "-i", `${directory}/${rpmName(OLD)}`);
  assertNotEquals(code, 0);
  assertMatch(err, new RegExp(`^gilly: ${UNIT} is from install.sh: run 'install.sh --uninstall' first; .* stay$`, "m"));
  assertEquals((await tree.run("ls /usr/bin/gilly /etc/gilly 2>/dev/null; getent passwd gilly")).out, "");
  await tree.sh(`rm ${UNIT}`);
}
