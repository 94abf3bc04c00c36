// Tests lib/proxy/pulls.ts: which requests are one pull.

import { assertEquals } from "@std/assert";
import type { ServedPull } from "../../../lib/proxy/observer.ts";
import { Pulls } from "../../../lib/proxy/pulls.ts";
import { repairOf } from "../../fakes/repairs.ts";

const digest = (letter: string) => `sha256:${letter.repeat(64)}`;

function bench(idleMs = 60_000) {
  const clock = { now: 1_589_591_513_000 };
  const serving: string[] = [];
  const served: ServedPull[] = [];
  const ended = Promise.withResolvers<void>();
  const pulls = new Pulls({
    now: () => clock.now,
    idleMs,
    observer: {
      serving: ({ image }) => void serving.push(image),
      served(pull) {
        served.push(pull);
        ended.resolve();
      },
    },
  });
  /** Serves the manifest of an image, as a runtime requests it after it has resolved the tag. */
  const manifest = (image: string, of: string, contents: readonly string[]) => {
    const target = repairOf(image);
    pulls.manifestServed({
      target,
      candidate: target.candidates[0]!,
      digest: digest(of),
      contents: contents.map(digest),
    });
  };
  const blob = (repository: string, of: string, bytes: number) => {
    const blob = pulls.blobBegins(repairOf(`${repository}@${digest(of)}`));
    blob.delivered(bytes);
    return blob;
  };
  return { clock, pulls, serving, served, ended: ended.promise, manifest, blob };
}

const SUMMARY = ({ target, bytes, resumed, seconds }: ServedPull) => `${target.image} ${bytes} ${resumed} ${seconds}`;

Deno.test("an index, its manifest and the layers are one pull, named by the tag", () => {
  const { clock, pulls, serving, served, manifest, blob } = bench();
  pulls.resolved(repairOf("gcr.io/app:1"), `gcr.io/app@${digest("a")}`);
  manifest(`gcr.io/app@${digest("a")}`, "a", ["b"]);
  manifest(`gcr.io/app@${digest("b")}`, "b", ["c", "d"]);
  const layers = [blob("gcr.io/app", "c", 100), blob("gcr.io/app", "d", 23)];
  layers[0]!.resumed();
  clock.now += 4000;
  for (const layer of layers) layer.ended();
  pulls.close();
  assertEquals([serving, served.map(SUMMARY)], [["gcr.io/app:1"], ["gcr.io/app:1 123 1 4"]]);
});

Deno.test("two images are two pulls, even if they are pulled at once", () => {
  const { pulls, served, manifest, blob } = bench();
  manifest("gcr.io/app:1", "a", ["c"]);
  manifest("gcr.io/other:1", "b", ["c"]);
  blob("gcr.io/app", "c", 1).ended();
  blob("gcr.io/other", "c", 2).ended();
  pulls.close();
  assertEquals(served.map(SUMMARY).toSorted(), ["gcr.io/app:1 1 0 0", "gcr.io/other:1 2 0 0"]);
});

Deno.test("a pull ends when nothing was requested for a while, and not while a layer is under way", async () => {
  const { pulls, served, ended, manifest, blob } = bench(20);
  manifest("gcr.io/slow:1", "a", ["b"]);
  const layer = blob("gcr.io/slow", "b", 1);
  manifest("gcr.io/quick:1", "c", []);
  await ended;
  assertEquals(served.map(({ target }) => target.image), ["gcr.io/quick:1"]);
  layer.ended();
  pulls.close();
  assertEquals(served.map(({ target }) => target.image), ["gcr.io/quick:1", "gcr.io/slow:1"]);
});

Deno.test("a blob that belongs to no pull is counted nowhere", () => {
  const { pulls, served, blob } = bench();
  blob("gcr.io/app", "a", 100).ended();
  pulls.close();
  assertEquals(served, []);
});
