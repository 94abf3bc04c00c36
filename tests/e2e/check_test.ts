// What check says of two real Engines: of a mirror that is a web page, through what each Engine makes
// of it, and of an Engine whose containerd hangs or has gone.

import { assertEquals, assertMatch } from "@std/assert";
import type { Finding } from "../../lib/check/finding.ts";
import { missingForProgram, testIfPossible } from "../support/requirements.ts";
import { missingForCurrentEngine, startCurrentEngine } from "./current_engine.ts";
import { Daemon } from "./daemon.ts";
import { missingPrograms, startEngine, startRegistry } from "./engine.ts";
import { type Fault, startFaultyRegistry } from "./faulty_registry.ts";
import { runGilly } from "./gilly.ts";

const ENGINES = [
  { name: "Docker Engine of this machine", start: startEngine, missing: missingPrograms() },
  {
    name: "current Engine with the containerd image store",
    start: startCurrentEngine,
    missing: missingForCurrentEngine(),
  },
];

const PAGE = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Not here</body></html>";

function page(status: number): Fault {
  const headers = { "content-type": "text/html; charset=utf-8" };
  return ({ method }) => new Response(method === "HEAD" ? null : PAGE, { status, headers });
}

/** What answers in the place of the registry, and what check says of it. */
const ANSWERS: Readonly<Record<string, readonly [fault: Fault | undefined, says: RegExp]>> = {
  "a page for every name": [page(200), /^fail what answers is not a registry: /],
  "a page for every name, with 404": [page(404), /^fail what answers is not a registry: /],
  "a page that refuses": [page(403), /^fail what answers is not a registry: /],
  "a redirect to a page": [
    (request, forward) =>
      new URL(request.url).pathname === "/login"
        ? page(200)(request, forward)
        : new Response(null, { status: 302, headers: { location: "/login" } }),
    /^fail what answers is not a registry: /,
  ],
  "a broken registry": [page(502), /^fail .*502 Bad Gateway/],
  "the registry": [undefined, /^ok reachable, and answers without credentials$/],
};

for (const { name, start, missing } of ENGINES) {
  testIfPossible(`${name}: check of what is no registry, and of an Engine without its containerd`, [
    ...new Set([...missing, ...missingPrograms(), ...missingForProgram()]),
  ], async (t) => {
    const dir = await Deno.makeTempDir({ prefix: "gilly-test-" });
    const containerd = await startPlainContainerd(dir);
    const engine = await start(`${dir}/engine`, { args: ["--containerd", containerd.address] });
    const registry = await startRegistry(`${dir}/registry`);
    const mirror = startFaultyRegistry(registry.host);
    const check = async () => {
      const config = `${dir}/config.yaml`;
      await Deno.writeTextFile(
        config,
        `kubelet: {url: "http://127.0.0.1:1"}\ndocker: {socket: ${engine.socket}}\n` +
          `registries: {gcr.io: "${mirror.host}"}\n`,
      );
      const { stdout } = await runGilly(["check", "--json", "--config", config, "--state-file", `${dir}/none.json`]);
      const findings = JSON.parse(stdout) as Finding[];
      return (name: string) => {
        const found = findings.find((finding) => finding.name === name);
        return found === undefined ? stdout : `${found.verdict} ${found.message}`;
      };
    };
    try {
      for (const [what, [fault, says]] of Object.entries(ANSWERS)) {
        await t.step(what, async () => {
          mirror.fault = fault;
          assertMatch((await check())(`mirror ${mirror.host}`), says);
        });
      }
      const hangs = async () => {
        Deno.kill(containerd.daemon.pid!, "SIGSTOP");
        const found = await check();
        assertMatch(found("docker engine"), /^fail .*no answer within 30 s/);
        assertMatch(found(`mirror ${mirror.host}`), /^warn not checked, because the Docker Engine does not answer/);
        Deno.kill(containerd.daemon.pid!, "SIGCONT");
      };
      // Half a minute, in which both Engines do the same.
      if (start === startEngine) await t.step("containerd hangs", hangs);
      await t.step("containerd has gone", async () => {
        await containerd.daemon.stop("SIGKILL");
        assertMatch((await check())("docker engine"), /^fail .*its containerd does not answer it, so every pull fails/);
        assertEquals((await check())("docker socket"), `ok ${engine.socket} answers`);
      });
    } finally {
      await mirror.stop();
      await registry.remove();
      await engine.remove();
      await containerd.daemon.stop("SIGKILL");
      await Deno.remove(dir, { recursive: true });
    }
  });
}

/** A containerd for an Engine, as systemd starts one beside it. */
async function startPlainContainerd(dir: string): Promise<{ readonly daemon: Daemon; readonly address: string }> {
  const address = `${dir}/containerd.sock`;
  await Deno.writeTextFile(
    `${dir}/containerd.toml`,
    `version = 2\nroot = "${dir}/containerd/root"\nstate = "${dir}/containerd/state"\n` +
      `disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\n  address = "${address}"\n` +
      `[ttrpc]\n  address = "${address}.ttrpc"\n`,
  );
  const daemon = new Daemon("containerd", ["--config", `${dir}/containerd.toml`], `${dir}/containerd.log`);
  await daemon.start("containerd successfully booted");
  return { daemon, address };
}
