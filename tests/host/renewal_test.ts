// The layout that install.sh makes for files that only root can read, on a host booted by systemd:
// what the commands do while the service is down, and how renewed files take effect automatically.

import { assert, assertEquals, assertMatch, assertNotEquals, assertStringIncludes } from "@std/assert";
import type { Finding } from "../../lib/check/finding.ts";
import { makeAuthority } from "../fakes/certificates.ts";
import { GILLY, testIfPossible } from "../support/requirements.ts";
import { bootHost, type Host } from "./host.ts";
import { installer, missingForRelease, unpackRelease } from "./stage.ts";

const PKI = "/root/pki";
const COPIES = "/run/credentials/gilly.service";
const cluster = makeAuthority("cluster");

testIfPossible(
  "files that systemd loads as credentials are found while the service is down, and renewed",
  missingForRelease(),
  async (t) => {
    await using host = await bootHost({ ownNetwork: true });
    await unpackRelease(host, await Deno.readFile(GILLY));
    await host.sh("groupadd --system docker && ln -s /dev/null /run/docker.sock");
    await host.put(`${PKI}/ca.crt`, cluster.certificatePem, 0o600);
    // As the kubelet does: a symbolic link to the newest file.
    await issue(host, "1");
    for (const name of ["client.crt", "client.key"]) await host.sh(`ln -s 1/${name} ${PKI}/${name}`);
    const flags = `--kubelet-ca ${PKI}/ca.crt --kubelet-cert ${PKI}/client.crt --kubelet-key ${PKI}/client.key`;
    await host.sh(`${installer()} --kubelet-url https://localhost:10250 --mirror gcr.io=mirror.example ${flags}`);

    await t.step("the path unit is installed and valid, and runs with the service", async () => {
      const states = await host.sh(
        "systemctl is-active gilly gilly-renew.path && systemctl is-enabled gilly-renew.path",
      );
      assertEquals(states, "active\nactive\nenabled");
      assertEquals(await host.sh("systemd-analyze verify gilly-renew.path gilly-renew.service 2>&1"), "");
    });

    await host.sh("systemctl stop gilly");
    await t.step("while the service is down, commands that do not query the kubelet work", async () => {
      for (const command of ["explain gcr.io/a/b:1", "export containerd", "history"]) {
        const { code, err } = await host.run(`gilly ${command}`);
        assertEquals({ command, code, err: err.includes("credentials") }, { command, code: 0, err: false });
      }
      const pull = await host.run("gilly pull --plain gcr.io/a/b:1");
      assertEquals([pull.code, /kubelet|credentials/.test(pull.err)], [1, false], pull.err);
      const once = await host.run("gilly once");
      assertEquals(once.code, 1);
      assertMatch(once.err, /no answer from https:\/\/localhost:10250\/pods: .*refused/);
    });

    await t.step("check begins with the daemon and checks the original files", async () => {
      const { code, out } = await host.run("gilly check --json");
      const findings: Finding[] = JSON.parse(out);
      assertEquals([code, findings[0]], [1, {
        name: "daemon",
        verdict: "fail",
        message: "not running: /run/gilly/state.json does not exist",
        remedy: "systemctl start gilly; journalctl -u gilly -n 20 says why it stopped",
      }]);
      const files = findings.filter(({ name }) => name.startsWith("kubelet."));
      assertEquals(files.map(({ verdict }) => verdict), ["ok", "warn", "ok"]);
      for (const { message } of files) assertMatch(message, /^\/root\/pki\//);
      assertMatch(files[1]!.remedy!, /^replace \/root\/pki\/client.crt and its key, then: systemctl restart gilly$/);
      assertStringIncludes(findings.find(({ name }) => name === "kubelet")!.message, "does not answer");
      await host.sh("systemctl start gilly");
      assertEquals(
        findingsOf(await host.run("gilly check --json")).findLast(({ name }) => name === "daemon")?.verdict,
        "warn",
      );
      await host.sh("systemctl stop gilly");
    });

    await t.step("an ordinary user is told to run the command as root", async () => {
      const asNobody = (groups: string, command: string) =>
        host.run(`setpriv --reuid=nobody --regid=nogroup ${groups} ${command}`);
      const stranger = await asNobody("--clear-groups", "gilly check");
      assertEquals(stranger.code, 78);
      assertMatch(
        stranger.out,
        /config\.yaml: cannot be read: permission denied\n +→ run it as root: sudo gilly check\n/,
      );
      const explain = await asNobody("--clear-groups", "gilly explain a");
      assertMatch(explain.err, /cannot be read: permission denied; run it as root: sudo gilly explain$/);
      const member = findingsOf(await asNobody('--groups="$(getent group gilly | cut -d: -f3)"', "gilly check --json"));
      assertEquals(member.find(({ name }) => name === "kubelet.keyFile"), {
        name: "kubelet.keyFile",
        verdict: "warn",
        message: `${COPIES}/kubelet-client.key was not checked: ${PKI}/client.key, of which it is a copy, ` +
          "cannot be read: permission denied",
        remedy: "run it as root: sudo gilly check",
      });
      await host.sh("systemctl start gilly");
    });

    await t.step("a pair replaced in two steps is used once it is complete, and not before", async () => {
      const before = await host.property("InvocationID");
      await issue(host, "2");
      const skipped = await renewals(
        host,
        /exec-condition|skipped/i,
        () => host.sh(`cat ${PKI}/2/client.crt >${PKI}/1/client.crt`),
      );
      assertMatch(skipped, /the key does not belong to the certificate/);
      assertEquals(await host.property("InvocationID"), before);
      const check = findingsOf(await host.run("gilly check --json"));
      assertEquals(
        check.filter(({ message }) => message.includes("was replaced")).map(({ name }) => name),
        [
          "kubelet.certFile",
        ],
      );
      await renewed(host, `cat ${PKI}/2/client.key >${PKI}/1/client.key`);
    });

    await t.step("switched symbolic links, and a file renamed over the old one, are noticed", async () => {
      await issue(host, "3");
      const swap = (name: string) => `ln -s 3/${name} ${PKI}/next && mv -T ${PKI}/next ${PKI}/${name}`;
      await renewed(host, `${swap("client.crt")} && ${swap("client.key")}`);
      await host.put(`${PKI}/next.crt`, `${cluster.certificatePem}\n`, 0o600);
      await renewed(host, `mv ${PKI}/next.crt ${PKI}/ca.crt`);
    });

    await t.step("the same contents, and another file in the folder of a link, change nothing", async () => {
      const before = await host.property("InvocationID");
      for (const act of [`touch ${PKI}/3/client.key`, `touch ${PKI}/another`]) {
        assertMatch(
          await renewals(host, /exec-condition|skipped/i, () => host.sh(act)),
          /already runs with these files/,
        );
      }
      assertEquals(await host.property("InvocationID"), before);
    });

    await t.step("a service that failed on half a pair starts again with the other half", async () => {
      await issue(host, "4");
      await host.sh("systemctl stop gilly-renew.path");
      await host.sh(`cp ${PKI}/4/client.crt ${PKI}/3/client.crt`);
      assertNotEquals((await host.run("systemctl restart gilly")).code, 0);
      assertEquals(await host.property("ExecMainStatus"), "78");
      assertEquals(await host.sh("systemctl is-active gilly-renew.path"), "active");
      await renewed(host, `cp ${PKI}/4/client.key ${PKI}/3/client.key`);
    });

    await t.step("a service that was stopped by hand stays stopped", async () => {
      await host.sh("systemctl stop gilly");
      await renewals(host, /Finished|Deactivated/, () => host.sh(`touch ${PKI}/3/client.key`));
      assertEquals((await host.run("systemctl is-active gilly")).out, "inactive");
    });

    await t.step("purging leaves nothing behind", async () => {
      await host.sh(`${installer()} --purge`);
      assertEquals(await host.sh("find /etc/systemd /usr/local /run/systemd/system -name '*gilly*'"), "");
      assertEquals((await host.run("systemctl is-active gilly-renew.path")).out, "inactive");
    });
  },
);

function findingsOf({ out }: { readonly out: string }): Finding[] {
  return JSON.parse(out);
}

/** Puts a new pair into a folder of that name. */
async function issue(host: Host, name: string): Promise<void> {
  const { certificatePem, keyPem } = cluster.issueClient({ commonName: "gilly" });
  await host.put(`${PKI}/${name}/client.crt`, certificatePem, 0o600);
  await host.put(`${PKI}/${name}/client.key`, keyPem, 0o600);
}

/** Runs `script` and waits until the service has restarted with copies of the current files. */
async function renewed(host: Host, script: string): Promise<void> {
  const before = await host.property("InvocationID");
  const last = await host.lastEntry();
  await host.sh(script);
  await host.journal.waitFor(/^Started gilly\.service/, last);
  assertNotEquals(await host.property("InvocationID"), before);
  for (const name of ["ca.crt", "client.crt", "client.key"]) {
    await host.sh(`cmp ${PKI}/${name} ${COPIES}/kubelet-${name}`);
  }
}

/** Runs `act` and returns what gilly-renew.service then logs, up to a line that matches. */
async function renewals(host: Host, until: RegExp, act: () => Promise<unknown>): Promise<string> {
  const cursor = await host.sh(
    'journalctl --sync; journalctl -n 1 -o json | sed \'s/.*"__CURSOR" *: *"\\([^"]*\\)".*/\\1/\'',
  );
  await act();
  const script = `timeout 30 journalctl --follow -o cat -u gilly-renew.service --after-cursor='${cursor}' | ` +
    `sed -E '/${until.source}/q'`;
  const said = await host.sh(script);
  assert(until.test(said), `gilly-renew.service did not say ${until}: ${said}`);
  return said;
}
