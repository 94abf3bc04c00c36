// gilly-credentials with a real kubelet that identifies clients by certificate: Gilly gets the pods
// with the files it installs, and a certificate that the kubelet does not accept is never
// installed.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { stringify } from "@std/yaml";
import type { Finding } from "../../lib/check/finding.ts";
import { makeAuthority } from "../fakes/certificates.ts";
import { Bench, missingForCredentials } from "../support/credentials_bench.ts";
import { missingForEndToEnd, testIfPossible } from "../support/requirements.ts";
import { runGilly } from "./gilly.ts";
import { withWorker } from "./worker.ts";

const AT_ONCE = "gilly-credentials --kubeconfig /dev/null --node worker-10";
const missing = [...new Set([...missingForEndToEnd(), ...missingForCredentials()])];

testIfPossible("a real kubelet accepts a requested, approved and installed certificate", missing, async (t) => {
  await withWorker({}, async (worker) => {
    await using bench = new Bench(worker.certificates.authority);
    bench.put("etc/kubernetes/pki/ca.crt", await Deno.readTextFile(worker.certificates.caFile));
    const inEtc = (name: string) => `${bench.etc}/kubelet-${name}`;
    const kubelet = {
      url: worker.kubelet.url,
      caFile: inEtc("ca.crt"),
      certFile: inEtc("client.crt"),
      keyFile: inEtc("client.key"),
    };
    const config = `${bench.dir}/config.yaml`;
    await Deno.writeTextFile(
      config,
      stringify({
        kubelet,
        docker: { socket: worker.engine.socket },
        ledger: { file: worker.ledgerFile },
        registries: { "gcr.io": worker.mirrorHost(0) },
      }),
    );
    const url = `--url ${worker.kubelet.url}`;

    await t.step("a certificate of another CA is refused by the kubelet and is not installed", async () => {
      await using other = new Bench(makeAuthority("another"));
      other.put("etc/kubernetes/pki/ca.crt", await Deno.readTextFile(worker.certificates.caFile));
      const { code, err } = await other.run(`${AT_ONCE} ${url}`);
      assertEquals(code, 1);
      assertMatch(err, /^gilly-credentials: \S+ does not accept the certificate \(401\): [^\n]+$/);
      assertEquals(Object.keys(other.files()), ["kubelet-client.request"]);
    });
    await t.step("a kubelet whose certificate the given CA did not sign is not trusted", async () => {
      await Deno.writeTextFile(`${bench.dir}/other.crt`, makeAuthority("another").certificatePem);
      const { code, err } = await bench.run(`${AT_ONCE} ${url} --ca ${bench.dir}/other.crt`);
      assertEquals(code, 1);
      assertMatch(
        err,
        /^gilly-credentials: \S+ presents a certificate that \S+other\.crt does not verify \([^\n]+$/,
      );
    });
    await t.step("the right certificate is installed, and Gilly sees the kubelet's pods with it", async () => {
      const out = await bench.sh(`${AT_ONCE} ${url}`);
      assertStringIncludes(out, "the certificate of gilly:worker-10 is in place, good until");
      assertEquals(/not checked/.test(out), false, "the kubelet was asked, and answered with its pods");
      await worker.addPod({ name: "web", containers: [{ name: "app", image: "gcr.io/acme/absent:1" }] });
      await worker.waitForReason("web", "app", ["ErrImagePull", "ImagePullBackOff"]);
      const { code, stdout, stderr } = await runGilly(["once", "--dry-run", "--config", config]);
      assertEquals(code, 0, stderr);
      assertStringIncludes(stdout + stderr, "gcr.io/acme/absent:1");
    });
    await t.step("check finds no fault with the three files and no excess permission", async () => {
      const state = ["--state-file", `${bench.dir}/no-daemon.json`];
      const { stdout } = await runGilly(["check", "--json", "--config", config, ...state]);
      const findings = JSON.parse(stdout) as Finding[];
      const about = findings.filter(({ name }) => name.startsWith("kubelet"));
      assertEquals(about.filter(({ verdict }) => verdict !== "ok"), []);
      const said = Object.fromEntries(about.map(({ name, message }) => [name, message]));
      assertMatch(said["kubelet.certFile"]!, /is O=gilly, CN=gilly:worker-10, expires in (89|90) days/);
      assertStringIncludes(said["kubelet certificate"]!, "trusted");
    });
  });
});
