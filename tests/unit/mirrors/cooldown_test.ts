// Tests lib/mirrors/cooldown.ts: what cools down after which failures, and what goes on.

import { assert, assertEquals } from "@std/assert";
import { Cooldowns, type Place } from "../../../lib/mirrors/cooldown.ts";

const NOW = 1_589_591_513_000;
const MINUTE = 60_000;

/** A repository at a host or, as `host/path repository`, below the path of a rule. */
function place(text: string): Place {
  const [location = "", repository = ""] = text.split(" ");
  return { mirror: location.split("/")[0]!, location, repository: `${location}/${repository}` };
}

/** Cool-downs without jitter, by a clock that the test moves. */
function scene() {
  const cooldowns = new Cooldowns();
  const clock = { now: NOW };
  return {
    cooldowns,
    clock,
    fails(text: string, kind = "registry-error", askedSeconds?: number) {
      return cooldowns.failed(place(text), { kind, because: kind, askedSeconds }, { now: clock.now, random: 0 })
        .map(({ scope }) => scope);
    },
    delivers: (text: string) => cooldowns.delivered(place(text)),
    /** What holds this repository up, and for how many seconds. */
    holdsUp(text: string) {
      const held = cooldowns.current(place(text), clock.now);
      return held && [held.scope, (held.until - clock.now) / 1000];
    },
    shown: () => [...cooldowns.mirrors(clock.now).keys()],
  };
}

Deno.test("a host that is not reached cools down with all of its paths, and with no other port", () => {
  const { fails, holdsUp, shown } = scene();
  assertEquals(fails("m:5000/quay a", "registry-down"), ["m:5000"]);
  assertEquals(["m:5000/quay a", "m:5000/gcr b", "m:5000 c"].map(holdsUp), Array(3).fill(["m:5000", 5]));
  assertEquals(holdsUp("m a"), undefined);
  assertEquals(shown(), ["m:5000"]);
});

Deno.test("a cool-down is over in the millisecond in which it ends", () => {
  const { fails, holdsUp, clock } = scene();
  assertEquals(holdsUp("m a"), undefined);
  fails("m a", "stalled");
  clock.now += 4999;
  assertEquals(holdsUp("m b"), ["m", 0.001]);
  clock.now += 1;
  assertEquals(holdsUp("m b"), undefined);
});

Deno.test("an answer that is a failure concerns its repository alone", () => {
  const { fails, holdsUp, shown } = scene();
  assertEquals(fails("m a"), []);
  assertEquals([holdsUp("m a"), holdsUp("m b")], [["m/a", 5], undefined]);
  assertEquals(shown(), [], "a repository is not a mirror");
});

Deno.test("a repository that keeps failing cools down for longer, and is asked again", () => {
  const { fails, holdsUp, clock } = scene();
  const seconds = [1, 2, 3, 4, 5, 6, 7].map(() => {
    fails("m a");
    const [, left] = holdsUp("m a")!;
    clock.now += 1000 * Number(left);
    return left;
  });
  assertEquals(seconds, [5, 10, 20, 40, 80, 120, 120]);
});

Deno.test("three repositories of a path that fail in a row take the path, but not its host", () => {
  const { fails, holdsUp, shown } = scene();
  assertEquals([fails("m/quay a"), fails("m/quay b"), fails("m/quay a"), fails("m/quay c")], [[], [], [], ["m/quay"]]);
  assertEquals([holdsUp("m/quay d"), holdsUp("m/gcr d"), holdsUp("m d")], [["m/quay", 5], undefined, undefined]);
  assertEquals(shown(), ["m/quay"]);
});

Deno.test("three repositories of a rule without a path take the host", () => {
  const { fails, holdsUp, shown } = scene();
  for (const name of ["a", "b", "c"]) fails(`m ${name}`);
  assertEquals([holdsUp("m d"), holdsUp("m/quay d")], [["m", 5], ["m", 5]]);
  assertEquals(shown(), ["m"]);
});

Deno.test("two paths that fail take their host", () => {
  const { fails, holdsUp, shown } = scene();
  for (const path of ["quay", "gcr"]) for (const name of ["a", "b", "c"]) fails(`m/${path} ${name}`);
  assertEquals([holdsUp("m/ghcr d"), holdsUp("n d")], [["m", 5], undefined]);
  assertEquals(shown(), ["m", "m/quay", "m/gcr"]);
});

Deno.test("a success between clears the count of the path, and of the host", () => {
  const { fails, delivers, holdsUp, shown } = scene();
  fails("m/quay a");
  fails("m/quay b");
  assertEquals(delivers("m/quay good"), []);
  fails("m/quay c");
  fails("m/quay d");
  assertEquals(shown(), []);
  fails("m/quay e");
  assertEquals(delivers("m/gcr good"), []);
  assertEquals(shown(), ["m/quay"], "another path shows nothing about this one");
  for (const name of ["a", "b", "c"]) fails(`m/ghcr ${name}`);
  assertEquals(holdsUp("m/gcr x"), undefined, "only one path since the success");
});

Deno.test("what delivers ends the cool-downs of its repository, its path and its host, and no other", () => {
  const { fails, delivers, holdsUp } = scene();
  for (const path of ["quay", "gcr"]) for (const name of ["a", "b", "c"]) fails(`m/${path} ${name}`);
  assertEquals(delivers("m/quay a"), ["m/quay", "m"]);
  assertEquals(["m/quay a", "m/quay b", "m/gcr d"].map(holdsUp), [undefined, ["m/quay/b", 5], ["m/gcr", 5]]);
});

Deno.test("a path that goes on failing cools down again at once, for longer, up to half a minute", () => {
  const { fails, holdsUp, clock } = scene();
  fails("m/quay a");
  fails("m/quay b");
  const seconds = [1, 2, 3, 4, 5].map((count) => {
    fails(`m/quay new-${count}`);
    const [scope, left] = holdsUp("m/quay d")!;
    clock.now += 1000 * Number(left);
    return [scope, left];
  });
  assertEquals(seconds, [["m/quay", 5], ["m/quay", 10], ["m/quay", 20], ["m/quay", 30], ["m/quay", 30]]);
});

Deno.test("failures at once count once", () => {
  const { fails, holdsUp, clock } = scene();
  for (let count = 0; count < 50; count++) fails(`m image-${count}`);
  assertEquals(holdsUp("m other"), ["m", 5]);
  clock.now += 5000;
  assertEquals(holdsUp("m other"), undefined);
});

Deno.test("after a cool-down one pull is a trial, and others wait for its outcome, but not for long", () => {
  const { cooldowns, clock, fails, delivers, holdsUp } = scene();
  for (const name of ["a", "b", "c"]) fails(`m ${name}`);
  clock.now += 5000;
  cooldowns.trying(place("m d"), clock.now);
  assertEquals([holdsUp("m e"), holdsUp("n e")], [["m", 5], undefined]);
  clock.now += 5000;
  assertEquals(holdsUp("m e"), undefined, "the trial takes its time");
  cooldowns.trying(place("m e"), clock.now);
  assertEquals(holdsUp("m f"), undefined, "one trial is enough");
  fails("m e");
  assertEquals(holdsUp("m f"), ["m", 10], "the mirror failed again");
  clock.now += 10_000;
  cooldowns.trying(place("m f"), clock.now);
  delivers("m f");
  assertEquals(holdsUp("m g"), undefined, "the trial delivered");
  cooldowns.trying(place("m g"), clock.now);
  assertEquals(holdsUp("m h"), undefined, "no trial is needed");
  fails("m h", "registry-down");
  clock.now += 2 * MINUTE;
  cooldowns.trying(place("m i"), clock.now);
  assertEquals(holdsUp("m j"), undefined, "the failure is too long ago for a trial");
});

Deno.test("a trial that ends with an image that the mirror lacks holds up no other", () => {
  const { cooldowns, clock, fails, holdsUp } = scene();
  fails("m a", "registry-down");
  clock.now += 5000;
  cooldowns.trying(place("m b"), clock.now);
  fails("m b", "not-found");
  assertEquals(holdsUp("m c"), undefined);
});

Deno.test("after a cool-down a repository that has not failed itself goes first", () => {
  const { clock, fails, holdsUp } = scene();
  for (const name of ["a", "b", "c"]) fails(`m ${name}`);
  clock.now += 5000;
  assertEquals([holdsUp("m good"), holdsUp("m a")], [undefined, ["m", 2]]);
  clock.now += 2000;
  assertEquals(holdsUp("m a"), undefined);
});

Deno.test("a Retry-After holds up its repository, and its path once that cools down", () => {
  const { fails, holdsUp } = scene();
  fails("m a", "rate-limited", 300);
  fails("m b", "rate-limited", 90);
  assertEquals([holdsUp("m a"), holdsUp("m b"), holdsUp("m c")], [["m/a", 300], ["m/b", 90], undefined]);
  fails("m c", "rate-limited", 60);
  assertEquals([holdsUp("m a"), holdsUp("m d")], [["m/a", 300], ["m", 60]]);
});

Deno.test("failures that are far apart do not add up, and neither do those before an outage", () => {
  const { fails, clock, shown, holdsUp } = scene();
  for (const name of ["a", "b", "c", "d"]) {
    fails(`m ${name}`);
    clock.now += 6 * MINUTE;
  }
  assertEquals(shown(), []);
  fails("m e", "registry-down");
  clock.now += 30 * MINUTE;
  fails("m f");
  assertEquals(holdsUp("m g"), undefined);
});

Deno.test("a path that failed is forgotten after a while, and a host that was not reached when it delivers", () => {
  const { fails, clock, shown, delivers } = scene();
  for (const name of ["a", "b", "c"]) fails(`m/quay ${name}`);
  fails("n a", "stalled");
  clock.now += 11 * MINUTE;
  assertEquals(shown(), ["n"]);
  assertEquals([delivers("m/quay a"), delivers("n a")], [[], ["n"]]);
});

Deno.test("a mirror is in doubt for a minute after its cool-down, unless it delivers", () => {
  const { fails, clock, cooldowns, delivers } = scene();
  const inDoubt = () => cooldowns.isSuspect(place("m b"), clock.now);
  fails("m a");
  assert(!inDoubt(), "one repository casts no doubt on its mirror");
  fails("m a", "registry-down");
  clock.now += 30_000;
  assert(inDoubt());
  clock.now += 35_000;
  assert(!inDoubt());
  fails("m a", "registry-down");
  delivers("m b");
  assert(!inDoubt());
});

Deno.test("scopes that are gone are forgotten, with their counts", () => {
  const { fails, cooldowns, shown, holdsUp } = scene();
  for (const name of ["a", "b", "c"]) fails(`m/quay ${name}`);
  fails("n a", "registry-down");
  fails("n b");
  cooldowns.forgetIf((scope) => scope.startsWith("m/"));
  assertEquals([shown(), holdsUp("m/quay a")], [["n"], undefined]);
  fails("m/quay d");
  assertEquals(shown(), ["n"]);
});
