// An operator's daily commands on a real worker: what check reports, and how pull gets a stuck pod
// running.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Finding } from "../../lib/check/finding.ts";
import { missingForEndToEnd, testIfPossible } from "../support/requirements.ts";
import { REGISTRY_USER } from "./engine.ts";
import { runGilly } from "./gilly.ts";
import { withWorker, type Worker } from "./worker.ts";

const [OPEN, GUARDED] = [0, 1];
const IMAGE = "quay.io/acme/web:1";

testIfPossible("check and pull on a real worker", missingForEndToEnd(), async (t) => {
  await withWorker({ mirrors: 2, guarded: GUARDED }, async (worker) => {
    const id = await worker.seed(OPEN, "acme/web:1");
    const registries = { "quay.io": [worker.mirrorHost(GUARDED), worker.mirrorHost(OPEN)] };
    const authFile = `${worker.dir}/auth.json`;
    const config = await worker.writeConfig({
      registries,
      mirrors: { [worker.mirrorHost(GUARDED)]: { authFile } },
      keep: ["quay.io/acme/web:1"],
    });
    const check = async (...argv: string[]) => {
      const state = ["--state-file", `${worker.dir}/no-daemon.json`];
      const { code, stdout } = await runGilly(["check", "--json", "--config", config, ...state, ...argv]);
      return { code, findings: JSON.parse(stdout) as Finding[] };
    };

    await t.step("a mirror that requires credentials and gets none fails", async () => {
      const { code, findings } = await check();
      const failed = findings.filter(({ verdict }) => verdict === "fail");
      assertEquals([code, failed.map(({ name }) => name)], [1, [`mirror ${worker.mirrorHost(GUARDED)}`]]);
    });
    await t.step("credentials that the mirror refuses fail and are not printed", async () => {
      await writeAuth(worker, authFile, "not-the-password");
      const { findings } = await check();
      const { verdict, message } = findings.find(({ name }) => name === `mirror ${worker.mirrorHost(GUARDED)}`)!;
      assertEquals(verdict, "fail");
      assertMatch(message, /^the credentials of \S+auth\.json are refused: /);
      assertEquals(JSON.stringify(findings).includes("not-the-password"), false);
    });
    await t.step("with the right credentials nothing fails", async () => {
      await writeAuth(worker, authFile, REGISTRY_USER.password);
      const { code, findings } = await check();
      assertEquals([code, findings.filter(({ verdict }) => verdict === "fail")], [0, []]);
      const said = Object.fromEntries(findings.map(({ name, message }) => [name, message]));
      assertStringIncludes(said["kubelet certificate"]!, "trusted");
      assertStringIncludes(said["image store"]!, "classic");
      assertStringIncludes(said["keep quay.io/acme/web:1"]!, `not here yet; ${worker.mirrorHost(OPEN)} has it`);
      assertEquals(await worker.imageId(IMAGE), undefined);
    });
    await t.step("pull gets a stuck pod running", async () => {
      await worker.addPod({ name: "web", containers: [{ name: "app", image: IMAGE }] });
      await worker.waitForReason("web", "app", ["ErrImagePull", "ImagePullBackOff"]);
      const { code, stdout, stderr } = await runGilly(["pull", "--config", config, IMAGE]);
      assertEquals(code, 0, stderr);
      assertStringIncludes(stdout, `repaired ${IMAGE}\n        from ${worker.mirrorHost(OPEN)}/acme/web:1, `);
      assertStringIncludes(stderr, `${IMAGE}: no image: pull ${worker.mirrorHost(GUARDED)}/acme/web:1: `);
      assertEquals(await worker.imageId(IMAGE), id);
      await worker.waitForRunning("web");
    });
    await t.step("explain then reports the repair", async () => {
      const { stdout } = await runGilly(["explain", "--json", "--config", config, IMAGE]);
      const [{ local, ledger }] = JSON.parse(stdout);
      assertEquals([local.state, local.id, ledger.entries, ledger.last.result], ["present", id, 1, "repaired"]);
    });
  });
});

async function writeAuth(worker: Worker, file: string, password: string): Promise<void> {
  const auths = { [worker.mirrorHost(GUARDED)]: { username: REGISTRY_USER.username, password } };
  await Deno.writeTextFile(file, JSON.stringify({ auths }));
}
