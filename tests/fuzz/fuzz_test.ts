import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { scanPods } from "../../lib/kubelet/failures.ts";
import { readPodList } from "../../lib/kubelet/pods.ts";
import { PROJECT } from "../../tools/deno.ts";
import { fuzz, FuzzError } from "./fuzz.ts";
import { type Target, targets } from "./targets.ts";

/** Time for each target; the long run is `deno task fuzz`. */
const SECONDS = 1.2;

for (const target of await targets()) {
  Deno.test(`whatever it is given, the ${target.name} answers soon, with little, and with no error but its own`, async () => {
    const { inputs, refused } = await fuzz(target, { seconds: SECONDS, seed: 20200516 });
    assert(inputs > 50, `only ${inputs} inputs`);
    assert(refused < inputs, "some input must be good");
  });
}

const SINNERS: Readonly<Record<string, Target["run"]>> = {
  "throws what is not its own": () => JSON.parse("{"),
  "takes too long": () => {
    for (const end = performance.now() + 1050; performance.now() < end;);
  },
  "takes too much": () => new Uint8Array(80 * 1024 * 1024),
};

for (const [sin, run] of Object.entries(SINNERS)) {
  Deno.test(`a module that ${sin} is found out`, async () => {
    const target: Target = { name: "sinner", inputs: fc.constant(1), run, isOwnError: () => false };
    await assertRejects(() => fuzz(target, { seconds: 5, seed: 1 }), FuzzError, "sinner, seed 1");
  });
}

Deno.test("the captured answer of a kubelet 1.20 is admitted whole, and its waiting containers are found", async () => {
  const answer = JSON.parse(await Deno.readTextFile(`${PROJECT}tests/testdata/pods_1_20.json`));
  const { pods, malformed } = readPodList(answer);
  assertEquals([pods.length, malformed], [answer.items.length, []]);
  const { failures, creating } = scanPods(pods);
  const shown = (list: typeof failures) =>
    list.map(({ pod, container, reason }) => `${pod.name} ${container} ${reason}`);
  assertEquals(shown(failures).sort(), [
    "always-worker-1 app ImagePullBackOff",
    "digest-worker-1 app ImagePullBackOff",
    "invalid-worker-1 app InvalidImageName",
    "never-worker-1 app ErrImageNeverPull",
    "staged-worker-1 setup ImagePullBackOff",
    "web-worker-1 app ImagePullBackOff",
  ]);
  assertEquals(shown(creating), ["staged-worker-1 app PodInitializing"]);
});
