// A bench for the redirect, in namespaces of its own (own_network.ts): a config, the helper, and the
// registry proxy.

import { assertEquals } from "@std/assert";
import { PROJECT } from "../../tools/deno.ts";
import type { Gilly } from "../e2e/gilly.ts";
import { inTemporaryFolder } from "./folder.ts";
import { type Outcome, outcomeOf } from "./outcome.ts";
import { freePort } from "./ports.ts";
import { startProgram } from "./program.ts";
import { GILLY } from "./requirements.ts";

/** The helper. */
export const HELPER = `${PROJECT}systemd/gilly-redirect`;
/** The contents of /etc/hosts before each test. */
export const HOSTS = "127.0.0.1\tlocalhost\n192.0.2.2 worker\n# the end, without a newline";

/** What a test has. */
export interface RedirectBench {
  /** Has the config, `config.yaml`, and the proxy's runtime directory, `run-proxy`. */
  readonly folder: string;
  readonly port: number;
  /** Runs the helper; PATH begins with `path`. */
  redirect(action: string, path?: string): Promise<Outcome>;
  /** Writes the config with these keys of the section proxy. */
  configure(keys: string): Promise<void>;
  startProxy(): Promise<Gilly>;
}

/** Registers a test with a bench of its own; afterwards nothing of the redirect is left. */
export function redirectTest(name: string, run: (bench: RedirectBench) => Promise<void>): void {
  Deno.test(name, () =>
    inTemporaryFolder(async (folder) => {
      const port = freePort();
      const configFile = `${folder}/config.yaml`;
      const programs: Gilly[] = [];
      const bench: RedirectBench = {
        folder,
        port,
        redirect: (action, path) => runHelper(action, configFile, path),
        configure: (keys) =>
          Deno.writeTextFile(
            configFile,
            `kubelet: {url: 'https://worker:10250', tokenFile: /nonexistent}
docker: {socket: ${folder}/docker.sock}
registries: {gcr.io: mirror.example, quay.io: mirror.example/quay, docker.io: mirror.example/hub, "*": mirror.example}
proxy: {listen: ${port}, certFile: proxy.crt, keyFile: proxy.key, ledgerFile: ledger.jsonl${keys}}
`,
          ),
        async startProxy() {
          const proxy = startProgram(["proxy", "--config", configFile], { RUNTIME_DIRECTORY: `${folder}/run-proxy` });
          programs.push(proxy);
          await proxy.waitForLine(/serving .* at 127\.0\.0\.1:/);
          return proxy;
        },
      };
      await Deno.mkdir(`${folder}/run-proxy`);
      await Deno.writeTextFile("/etc/hosts", HOSTS);
      await bench.configure("");
      try {
        await run(bench);
      } finally {
        await Promise.all(programs.map((program) => program.end()));
        await sh(`'${HELPER}' down`);
      }
    }));
}

/** Runs the helper with a config, in a session of its own; PATH begins with `path`. */
export function runHelper(action: string, configFile: string, path?: string): Promise<Outcome> {
  return sh(`exec setsid '${HELPER}' ${action} --config '${configFile}' --gilly '${GILLY}'`, path);
}

/** Runs the helper, which must succeed, and returns what it printed. */
export async function redirected(action: string, configFile: string): Promise<string> {
  const { code, out, err } = await runHelper(action, configFile);
  assertEquals(code, 0, `gilly-redirect ${action}: ${err}`);
  return out;
}

/** Runs a shell script; PATH begins with `path`. */
export async function sh(script: string, path = ""): Promise<Outcome> {
  const env = { PATH: `${path}${path && ":"}${Deno.env.get("PATH")}:/usr/sbin:/sbin` };
  return outcomeOf(await new Deno.Command("sh", { args: ["-c", script], env, stdin: "null" }).output());
}

/** Whether pulls of gcr.io are led to the proxy, completely. */
export async function leadsToProxy(): Promise<boolean> {
  const answer = await sh(
    "curl --silent --fail --max-time 5 --cacert /etc/docker/certs.d/gcr.io/gilly.crt https://gcr.io/v2/",
  );
  return answer.code === 0 && answer.out === "{}";
}

/** All that the redirect may change: files with their modes, rules, addresses. */
export async function stateOfHost(): Promise<string> {
  const { out, err, code } = await sh(`set -e
    cat /etc/hosts
    stat -c '%a %U %G' /etc/hosts
    find /etc/docker /etc/.hosts* /var/lib/gilly-redirect -printf '%p %m %u\\n' -type f -exec cat '{}' + 2>/dev/null | sort
    iptables -t nat -S
    ip -o address`);
  if (code !== 0) throw new Error(err);
  return out;
}
