// Tests that change the network and /etc: their file is run once more, in namespaces of its own.

import { PROJECT } from "../../tools/deno.ts";
import { missingPrograms } from "../e2e/engine.ts";
import { testIfPossible } from "./requirements.ts";

const INSIDE = "GILLY_TEST_OWN_NETWORK";

/** Returns what this machine lacks for namespaces and for the redirect. */
export function missingForOwnNetwork(): string[] {
  const missing = missingPrograms(["unshare", "nsenter", "mount", "ip", "ss", "iptables", "nft", "openssl", "curl"]);
  return Deno.uid() === 0 ? missing : [...missing, "root"];
}

/** Deno with these arguments, in namespaces of its own. */
export function denoInOwnNetwork(args: readonly string[], options: Deno.CommandOptions): Deno.Command {
  const script = new URL("./own_network.sh", import.meta.url).pathname;
  return new Deno.Command("unshare", {
    ...options,
    args: ["--mount", "--net", script, Deno.execPath(), ...args],
    stdin: "null",
  });
}

/**
 * Registers the tests of the file `url` inside its namespaces, and outside one test that runs them
 * there. If something is `missing`, that one is ignored, or fails with GILLY_E2E=require.
 */
export function inOwnNetwork(url: string, missing: readonly string[], register: () => void): void {
  if (Deno.env.get(INSIDE) === url) return register();
  const file = new URL(url).pathname;
  testIfPossible(`${file.slice(PROJECT.length)}, in a network and an /etc of its own`, missing, async () => {
    const { code } = await denoInOwnNetwork(["test", "--allow-all", "--no-check", file], {
      cwd: PROJECT,
      env: { [INSIDE]: url },
      stdout: "inherit",
      stderr: "inherit",
    }).spawn().status;
    if (code !== 0) throw new Error(`the tests in ${file} failed, see above`);
  });
}
