// Tests lib/check/daemon.ts: the findings about trouble that a state reports.

import { assertEquals } from "@std/assert";
import { checkState } from "../../../lib/check/daemon.ts";
import { readNodeState } from "../../../lib/status/read_state.ts";

const NOW = Date.UTC(2026, 10, 1, 12);

Deno.test("a daemon in trouble and a mirror that is cooling down are warnings", () => {
  const at = new Date(NOW).toISOString();
  const mirrors = [
    { mirror: "up.example", state: "up", coolingDownUntil: null, because: null },
    { mirror: "unasked.example", state: "unknown", coolingDownUntil: null, because: "not asked" },
    {
      mirror: "tired.example",
      state: "cooling-down",
      coolingDownUntil: new Date(NOW + 2500).toISOString(),
      because: "503",
    },
    { mirror: "down.example", state: "failed", coolingDownUntil: at, because: "refused" },
  ];
  const trouble = { pass: "no answer from the kubelet", config: null };
  const away = { pass: null, config: null, engine: "the Docker Engine at /run/docker.sock does not answer (refused)" };
  const { state } = readNodeState(JSON.stringify({ version: 1, pid: 1, writtenAt: at, trouble, mirrors }));
  const findings = checkState(state!, NOW);
  assertEquals(findings.map(({ name, verdict }) => [name, verdict]), [
    ["daemon", "warn"],
    ["cool-down of tired.example", "warn"],
    ["cool-down of down.example", "warn"],
  ]);
  assertEquals(findings[1]!.message, "is not used for another 3 s: 503");
  const withoutEngine = readNodeState(JSON.stringify({ version: 1, pid: 1, writtenAt: at, trouble: away })).state!;
  const [{ verdict, message, remedy } = { verdict: "ok", message: "", remedy: "" }] = checkState(withoutEngine, NOW);
  assertEquals([verdict, remedy], ["warn", "see the runtime above; the daemon resumes automatically"]);
  assertEquals(message, `${away.engine}: nothing can be repaired; 0 repaired since start`);
});
