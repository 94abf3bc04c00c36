// What a machine needs for tests against a real worker, and how a test reports what is missing.

import type { RuntimeKind } from "../../lib/runtime/open.ts";
import { architectureOf } from "../../tools/architectures.ts";
import { PROJECT } from "../../tools/deno.ts";
import { missingPrograms, realIsRequired } from "../e2e/engine.ts";
import { isFile } from "./programs.ts";

/**
 * The program under test: the compiled binary or, where it cannot be compiled, a script that runs
 * the same bundle.
 */
export const GILLY = `${PROJECT}dist/gilly`;

/** Returns the path of the real kubelet from the environment; no package provides version 1.20. */
export function kubeletBinary(): string | undefined {
  return Deno.env.get("KUBELET_BIN") || undefined;
}

/** Programs of a worker with that runtime; the Debian package of containerd is containerd. */
const PROGRAMS: Readonly<Record<RuntimeKind, readonly string[]>> = {
  docker: ["dockerd", "containerd", "runc", "docker-registry"],
  containerd: ["containerd", "containerd-shim-runc-v2", "ctr", "runc", "docker-registry", "unshare", "nsenter"],
};

/** Returns what this machine lacks for a real worker, in words; empty if it can be started. */
export function missingForWorker(runtime: RuntimeKind = "docker"): string[] {
  const missing = missingPrograms(PROGRAMS[runtime]);
  if (!isStatic("/bin/busybox")) missing.push("/bin/busybox (the static one)");
  const kubelet = kubeletBinary();
  if (kubelet === undefined) missing.push("KUBELET_BIN (a kubelet that can talk to Docker, such as 1.20)");
  else if (!isFile(kubelet)) missing.push(`KUBELET_BIN=${kubelet}`);
  if (Deno.uid() !== 0) missing.push("root");
  return missing;
}

/** Returns what this machine lacks for the end-to-end tests: a real worker and the program. */
export function missingForEndToEnd(runtime: RuntimeKind = "docker"): string[] {
  return [...missingForWorker(runtime), ...missingForProgram()];
}

/** Returns what this machine lacks for tests of the program. */
export function missingForProgram(): string[] {
  return isFile(GILLY) ? [] : ["dist/gilly (deno task compile)"];
}

/**
 * Returns what this machine lacks for tests of the binary itself: its installation, unit, release
 * and contents.
 */
export function missingForBinary(): string[] {
  return isFile(GILLY) && architectureOf(GILLY) !== undefined
    ? []
    : ["the compiled binary (deno task compile; DENORT_BIN names its runtime)"];
}

const said = new Set<string>();

/**
 * Registers a test that needs `missing` to be empty. Otherwise the test is ignored and the reason
 * printed once per file, or the test fails with that reason if GILLY_E2E=require.
 */
export function testIfPossible(name: string, missing: readonly string[], fn: Deno.TestDefinition["fn"]): void {
  if (missing.length === 0) return Deno.test(name, fn);
  const line = `e2e skipped: missing ${missing.join(", ")}`;
  if (realIsRequired()) {
    return Deno.test(name, () => Promise.reject(new Error(`GILLY_E2E=require, but ${line}`)));
  }
  if (!said.has(line)) console.log(line);
  said.add(line);
  Deno.test({ name, ignore: true, fn });
}

/**
 * Reports whether a program is statically linked; only such a program starts in an image of its
 * own. A dynamically linked one names its loader near its beginning.
 */
function isStatic(path: string): boolean {
  if (!isFile(path)) return false;
  using file = Deno.openSync(path);
  const beginning = new Uint8Array(4096);
  file.readSync(beginning);
  return !new TextDecoder("latin1").decode(beginning).includes("/ld-");
}
