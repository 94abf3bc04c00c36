// What gilly check, status and explain see of the registry proxy and of its redirect, each
// condition made for real.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { makeAuthority } from "../fakes/certificates.ts";
import { inOwnNetwork, missingForOwnNetwork } from "../support/own_network.ts";
import { runProgram } from "../support/program.ts";
import { type RedirectBench, redirectTest, sh } from "../support/redirect_bench.ts";
import { missingForProgram } from "../support/requirements.ts";

const NAMES = ["registry proxy", "certificate of the proxy", "redirect"];

/** Returns `verdict: message` of the findings about the proxy. */
async function seen({ folder }: RedirectBench): Promise<string[]> {
  const { stdout } = await gilly(folder, "check", "--json");
  const findings: { name: string; verdict: string; message: string }[] = JSON.parse(stdout);
  return findings.filter(({ name }) => NAMES.includes(name)).map(({ verdict, message }) => `${verdict}: ${message}`);
}

async function gilly(folder: string, command: string, ...args: string[]) {
  const config = command === "status" ? [] : ["--config", `${folder}/config.yaml`];
  return await runProgram([command, ...config, ...args], { RUNTIME_DIRECTORY: `${folder}/run` });
}

inOwnNetwork(import.meta.url, [...missingForOwnNetwork(), ...missingForProgram()], () => {
  redirectTest("where the proxy is not installed, check and status say nothing of it", async (bench) => {
    assertEquals(await seen(bench), []);
    const status = await gilly(bench.folder, "status");
    assertEquals(status.code, 3);
    assert(!status.stdout.includes("proxy"), status.stdout);
    assertMatch((await gilly(bench.folder, "explain", "gcr.io/a:1")).stdout, /^ {2}proxy +off: .*gilly-setup --proxy/m);
  });

  redirectTest("while all is well, each says so", async (bench) => {
    await bench.redirect("prepare");
    await bench.startProxy();
    await bench.redirect("up");
    const [proxy, certificate, redirect] = await seen(bench);
    assertMatch(proxy!, /^ok: serving gcr\.io, quay\.io at 127\.0\.0\.1:\d+: 0 pulls \(0 B\) since start$/);
    assertMatch(certificate!, /^ok: \S+proxy\.crt expires in 36\d days \(/);
    assertEquals(redirect, "ok: pulls of gcr.io, quay.io are led to the proxy");
    const { stdout } = await gilly(bench.folder, "status");
    assertMatch(stdout, /^Registry proxy: serving .*; led to it: gcr\.io, quay\.io$/m);
    const json = JSON.parse((await gilly(bench.folder, "status", "--json")).stdout);
    assertEquals([json.running, json.proxy.redirected], [false, ["gcr.io", "quay.io"]]);
    assertMatch(
      (await gilly(bench.folder, "explain", "gcr.io/a:1")).stdout,
      /^ {2}proxy +the runtime's own pull is led/m,
    );
  });

  redirectTest("a NAT rule that is gone, and trust that is gone, are failures", async (bench) => {
    await bench.redirect("prepare");
    await bench.startProxy();
    await bench.redirect("up");
    await sh("rm /etc/docker/certs.d/quay.io/gilly.crt");
    assertStringIncludes((await seen(bench))[2]!, "fail: Docker does not trust the proxy for quay.io");
    await sh("iptables -t nat -F OUTPUT");
    assertMatch(
      (await seen(bench))[2]!,
      /^fail: gcr\.io, quay\.io lead to 169\.254\.77\.7:443, which does not reach the proxy: /,
    );
  });

  redirectTest("a killed proxy with its redirect still there is a failure, without it a warning", async (bench) => {
    await bench.redirect("prepare");
    const proxy = await bench.startProxy();
    await bench.redirect("up");
    await proxy.end("SIGKILL");
    assertMatch(
      (await seen(bench))[0]!,
      /^fail: not running: pid \d+, .* is gone, and gcr\.io, quay\.io are still led to it: /,
    );
    await bench.redirect("down");
    assertMatch(
      (await seen(bench))[0]!,
      /^warn: not running: .*; pulls go to the registries themselves, repairs go on$/,
    );
  });

  redirectTest("another program on the port is not taken for the proxy", async (bench) => {
    await bench.redirect("prepare");
    const proxy = await bench.startProxy();
    await bench.redirect("up");
    // Its state stays, as after a process that hangs.
    const state = await Deno.readTextFile(`${bench.folder}/run-proxy/state.json`);
    await proxy.end("SIGTERM");
    await Deno.writeTextFile(`${bench.folder}/run-proxy/state.json`, state.replace(/"pid": \d+/, `"pid": ${Deno.pid}`));
    using _other = Deno.listen({ hostname: "127.0.0.1", port: bench.port });
    assertMatch((await seen(bench))[0]!, /^fail: it does not answer at 127\.0\.0\.1:\d+: /);
  });

  redirectTest("an expired certificate, and one for other registries, are told", async (bench) => {
    await bench.redirect("prepare");
    await bench.startProxy();
    const put = (dnsNames: string[], notAfter?: Date) => {
      const { certificatePem } = makeAuthority("test").issueServer({ dnsNames, notAfter });
      return Deno.writeTextFile(`${bench.folder}/proxy.crt`, certificatePem);
    };
    await put(["gcr.io", "quay.io"], new Date(Date.now() - 60_000));
    assertMatch((await seen(bench))[1]!, /^fail: \S+proxy\.crt expired less than a day ago \(.*\): Docker refuses it$/);
    await put(["gcr.io"]);
    assertMatch((await seen(bench))[1]!, /^warn: \S+proxy\.crt is not for quay\.io$/);
  });

  redirectTest("a line of somebody else, and a symbolic link, are named", async (bench) => {
    await bench.redirect("prepare");
    await bench.startProxy();
    await sh("echo '10.0.0.1 quay.io' >>/etc/hosts.new; cat /etc/hosts.new >/etc/hosts");
    assertEquals(
      (await seen(bench))[2],
      "warn: pulls of gcr.io, quay.io are not led to the proxy: /etc/hosts has '10.0.0.1 quay.io' already",
    );
    await sh("echo >/etc/hosts.new; ln -sf hosts.new /etc/hosts");
    try {
      assertMatch(
        (await seen(bench))[2]!,
        /^warn: .*: \/etc\/hosts is a symbolic link, which another program may own$/,
      );
    } finally {
      await sh("rm /etc/hosts /etc/hosts.new");
    }
  });
});
