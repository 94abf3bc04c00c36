// The context of a check on a node with one rule for gcr.io and a classic image store.

import type { CheckContext } from "../../lib/check/context.ts";
import { compileExclusions } from "../../lib/images/exclusions.ts";
import { compileRules } from "../../lib/images/rules.ts";
import { readPodList } from "../../lib/kubelet/pods.ts";
import { emptyMemory } from "../../lib/record/memory.ts";
import { listOf } from "./pods.ts";

/** Returns the context; `redirected` are the registries whose pulls are led to the registry proxy. */
export function checkContext(
  { pods = [], keep = [], redirected }: {
    readonly pods?: readonly unknown[];
    readonly keep?: readonly string[];
    readonly redirected: ReadonlySet<string>;
  },
): CheckContext {
  const { signal } = new AbortController();
  const memory = emptyMemory({ initialSeconds: 10, maxSeconds: 300 });
  const context = {
    signal,
    node: {
      config: { keep, repair: { mode: "on-failure" } },
      registries: compileRules([{ origin: "gcr.io", mirrors: ["mirror.example"] }]),
      exclusions: compileExclusions({ images: [], namespaces: [] }),
      redirectedHosts: () => Promise.resolve(redirected),
    },
    process: { clock: { now: () => 0 }, memory },
    pods: () => Promise.resolve({ result: "answered", value: readPodList(listOf(...pods)) }),
    canAliasDigest: () => Promise.resolve(false),
  };
  return context as unknown as CheckContext;
}
