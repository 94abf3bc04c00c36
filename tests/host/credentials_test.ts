// The first day of a worker on a host booted by systemd: install.sh says what is missing,
// gilly-credentials gets it by copy and paste, and the daemon sees the pods of a real kubelet with
// it, also after a renewal.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Bench, missingForCredentials } from "../support/credentials_bench.ts";
import { testIfPossible } from "../support/requirements.ts";
import { installer, missingForInstalledHost, Stage } from "./stage.ts";

const missing = [...new Set([...missingForInstalledHost(), ...missingForCredentials()])];
const NEEDED = ["kubelet-ca.crt", "kubelet-client.crt", "kubelet-client.key"].map((name) => `/etc/gilly/${name}`);

testIfPossible("a worker gets its credentials by copy and paste, and starts", missing, async (t) => {
  await using stage = await Stage.set();
  await using cluster = new Bench(stage.worker.certificates.authority);
  const { host, worker } = stage;
  await stage.bringDocker();
  await host.put("/etc/kubernetes/pki/ca.crt", await Deno.readFile(worker.certificates.caFile));

  await t.step("the installer names the three files and the command that gets them", async () => {
    const mirror = `--mirror gcr.io=${worker.mirrorHost(0)}`;
    const out = await host.sh(`${installer()} --kubelet-url ${worker.kubelet.url} ${mirror}`);
    const told = /is installed and not started yet: .*$/m.exec(out)?.[0] ?? "";
    for (const file of NEEDED) assertStringIncludes(told, file);
    assertMatch(
      told,
      /gilly-credentials \(\/usr\/local\/share\/gilly\/credentials\.md\), then run: systemctl start gilly$/,
    );
  });

  await t.step("the three steps start the service", async () => {
    assertMatch(await getCertificate(), /^the certificate of gilly:worker is in place, good until /m);
    assertEquals(await host.sh(`stat -c '%a %U:%G' ${NEEDED.join(" ")}`), Array(3).fill("640 root:gilly").join("\n"));
    await host.sh("systemctl start gilly");
    await stage.waitForStatus(/^Checked 0 pods \d+ s ago/);
    assertStringIncludes(await host.sh(installer()), "nothing to do");
  });

  await t.step("a renewal while the service runs needs no restart and costs no pass", async () => {
    const before = await host.property("InvocationID");
    const old = await host.sh("cat /etc/gilly/kubelet-client.crt");
    assertMatch(await getCertificate(), /^the certificate of gilly:worker is in place, good until /m);
    assertEquals(await host.sh("cat /etc/gilly/kubelet-client.crt") === old, false);
    const last = await host.lastEntry();
    await worker.seed(0, "acme/renewed:1");
    await worker.addPod({ name: "renewed", containers: [{ name: "app", image: "gcr.io/acme/renewed:1" }] });
    await host.journal.waitFor(/repaired gcr\.io\/acme\/renewed:1/, last);
    assertEquals(await host.property("InvocationID"), before);
    assertEquals(await host.sh("journalctl -u gilly -t gilly -o cat -p warning"), "");
  });

  /** Request on the host, approval where kubectl is, installation on the host again. */
  async function getCertificate(): Promise<string> {
    await Deno.writeTextFile(`${cluster.dir}/worker.csr.yaml`, await host.sh("gilly-credentials request"));
    const approved = await cluster.sh(`kubectl apply -f worker.csr.yaml
kubectl certificate approve -f worker.csr.yaml
kubectl get -f worker.csr.yaml -o jsonpath='{.status.certificate}'`);
    await host.put("/root/worker.crt", approved);
    return await host.sh("gilly-credentials install worker.crt");
  }
});
