// Tests lib/mirrors/pool.ts: the cool-down, the slots and the credentials of each mirror.

import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Candidate } from "../../../lib/images/rules.ts";
import { Cooldowns } from "../../../lib/mirrors/cooldown.ts";
import { MirrorPool, type MirrorSettings } from "../../../lib/mirrors/pool.ts";
import { RuntimeError, type RuntimeErrorKind } from "../../../lib/runtime/errors.ts";
import { inTemporaryFolder } from "../../support/folder.ts";

const MIRROR = "mirror.example:5000";
const OTHER = "other.example";
const unaborted = new AbortController().signal;

/** A pool with a clock that stands still until the test moves it, and the events it reported. */
function openMirrors(options: { settings?: Record<string, MirrorSettings>; concurrency?: number } = {}) {
  const clock = { now: 1_589_591_513_000 };
  const news: string[] = [];
  const recovered: string[] = [];
  const pool = new MirrorPool({
    settings: options.settings ?? {},
    concurrency: options.concurrency ?? 100,
    cooldowns: new Cooldowns(),
    clock: { now: () => clock.now, wallTime: () => clock.now },
    random: () => 0,
    observer: {
      mirrorCoolsDown: (mirror, { because }) => void news.push(`${mirror} cools down: ${because}`),
      mirrorRecovered: (mirror) => void news.push(`${mirror} recovered`),
      authProblem: (mirror, problem) => void news.push(`${mirror}: ${problem}`),
    },
    recovered: (mirror) => void recovered.push(mirror),
  });
  return { pool, clock, news, recovered };
}

function failure(kind: RuntimeErrorKind, retryAfterSeconds?: number): RuntimeError {
  return new RuntimeError(kind, "cannot pull", { cause: new Error(kind), retryAfterSeconds });
}

/** An image in this repository of the mirror, by a rule for this path at it. */
function at(repository: string, path = "", mirror = MIRROR): Candidate {
  const location = path === "" ? mirror : `${mirror}/${path}`;
  const name = `${location}/${repository}`;
  return { mirror, location, repository: name, reference: `${name}:1` };
}

const APP = at("app");

/** What cools down after one failure of this kind, if anything does. */
const KINDS: Readonly<Record<RuntimeErrorKind, string | undefined>> = {
  "registry-down": MIRROR,
  "stalled": MIRROR,
  "proxy-refused": MIRROR,
  "rate-limited": APP.repository,
  "registry-error": APP.repository,
  "not-a-registry": APP.repository,
  "unreachable": undefined,
  "not-found": undefined,
  "wrong-platform": undefined,
  "unsupported-image": undefined,
  "incomplete-image": undefined,
  "denied": undefined,
  "rejected": undefined,
  "cannot-unpack": undefined,
  "disk-full": undefined,
  "failed": undefined,
};

for (const [kind, scope] of Object.entries(KINDS) as [RuntimeErrorKind, string | undefined][]) {
  Deno.test(`after ${kind}, ${scope ?? "nothing"} cools down`, () => {
    const { pool, clock, news } = openMirrors();
    pool.failed(APP, failure(kind));
    assertEquals(
      pool.coolingDown(APP),
      scope && {
        message: `${scope} is cooling down for another 5 s (cannot pull: ${kind})`,
        until: clock.now + 5000,
      },
    );
    assertEquals(news, scope === MIRROR ? [`${MIRROR} cools down: cannot pull: ${kind}`] : []);
    assertEquals(pool.coolingDown(at("other")) !== undefined, scope === MIRROR);
    assertEquals(pool.coolingDown(at("app", "", OTHER)), undefined);
  });
}

Deno.test("the remaining seconds of a cool-down are rounded up, and never zero", () => {
  const { pool, clock } = openMirrors();
  pool.failed(APP, failure("registry-down"));
  const seconds = () => /another (\d+) s/.exec(pool.coolingDown(APP)?.message ?? "")?.[1];
  const seen = [0, 1, 3999, 999].map((milliseconds) => {
    clock.now += milliseconds;
    return seconds();
  });
  assertEquals(seen, ["5", "5", "1", "1"]);
  clock.now += 1;
  assertEquals(pool.coolingDown(APP), undefined);
});

Deno.test("a Retry-After is honored for the repository that got it, and for no other", () => {
  const { pool, clock } = openMirrors();
  pool.failed(APP, failure("rate-limited", 90));
  assertEquals(pool.coolingDown(APP), {
    message: `${APP.repository} is cooling down for another 90 s (cannot pull: rate-limited)`,
    until: clock.now + 90_000,
  });
  assertEquals(pool.coolingDown(at("other")), undefined);
});

Deno.test("a mirror that stays down is reported once, until it delivers", () => {
  const { pool, clock, news } = openMirrors();
  for (let count = 0; count < 5; count++) {
    pool.failed(APP, failure("registry-down"));
    clock.now += 300_000;
  }
  pool.delivered(APP);
  pool.delivered(APP);
  pool.failed(APP, failure("stalled"));
  assertEquals(news, [
    `${MIRROR} cools down: cannot pull: registry-down`,
    `${MIRROR} recovered`,
    `${MIRROR} cools down: cannot pull: stalled`,
  ]);
});

Deno.test("a path and then its host are reported when their images fail in a row, and when one delivers", () => {
  const { pool, news, recovered } = openMirrors();
  for (const path of ["quay", "gcr"]) {
    for (const name of ["a", "b", "c", "d"]) pool.failed(at(name, path), failure("registry-error"));
  }
  pool.delivered(at("e", "gcr"));
  const because = "3 repositories failed in a row, the last: cannot pull: registry-error";
  assertEquals(news, [
    `${MIRROR}/quay cools down: ${because}`,
    `${MIRROR}/gcr cools down: ${because}`,
    `${MIRROR} cools down: 2 paths failed in a row, the last: cannot pull: registry-error`,
    `${MIRROR}/gcr recovered`,
    `${MIRROR} recovered`,
  ]);
  assertEquals(recovered, [`${MIRROR}/gcr`, MIRROR]);
});

Deno.test("a mirror that delivered is available at once", () => {
  const { pool } = openMirrors();
  pool.failed(APP, failure("registry-down"));
  pool.delivered(APP);
  assertEquals(pool.coolingDown(APP), undefined);
});

/** Probes the mirror for so many images at once; returns how many requests it got. */
async function probed(pool: MirrorPool, images: number, answer: () => Promise<boolean>): Promise<number> {
  let asked = 0;
  const probes = Array.from({ length: images }, (_, index) =>
    pool.probe(at(`image-${index}`), unaborted, () => {
      asked++;
      return answer();
    }).catch(() => false));
  await Promise.all(probes);
  return asked;
}

Deno.test("a mirror that answers is probed for every image", async () => {
  const { pool } = openMirrors();
  assertEquals(await probed(pool, 50, () => Promise.resolve(true)), 50);
});

Deno.test("a mirror that answers each probe with a failure is probed a few times, and then not while it is in doubt", async () => {
  const { pool, clock } = openMirrors();
  const failing = () => Promise.reject(failure("registry-error"));
  assertEquals(await probed(pool, 50, failing), 4);
  clock.now += 5000;
  assertEquals([pool.coolingDown(APP), await probed(pool, 50, failing)], [undefined, 0]);
  pool.delivered(APP);
  assertEquals(await probed(pool, 50, () => Promise.resolve(false)), 50);
});

Deno.test("probes that do not reach the mirror start no cool-down: pulls may take another way", async () => {
  const { pool } = openMirrors();
  await probed(pool, 5, () => Promise.reject(failure("stalled")));
  assertEquals(pool.coolingDown(APP), undefined);
});

/** Starts `each` pulls from each mirror, returns how many of each run at once, and ends them. */
async function running(pool: MirrorPool, mirrors: readonly string[], each: number): Promise<number[]> {
  const gate = Promise.withResolvers<void>();
  const counts = new Map(mirrors.map((mirror) => [mirror, 0]));
  const pulls = mirrors.flatMap((mirror) =>
    Array.from({ length: each }, () =>
      pool.withSlot(mirror, unaborted, () => {
        counts.set(mirror, counts.get(mirror)! + 1);
        return gate.promise;
      }))
  );
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  const seen = [...counts.values()];
  gate.resolve();
  await Promise.all(pulls);
  assertEquals([...counts.values()], mirrors.map(() => each), "not every pull had its turn");
  return seen;
}

Deno.test("a mirror serves four pulls at once, unless its settings say otherwise", async () => {
  const { pool } = openMirrors({ settings: { [OTHER]: { maxConcurrentPulls: 2 } } });
  assertEquals(await running(pool, [MIRROR, OTHER], 9), [4, 2]);
});

Deno.test("all mirrors together never exceed the total concurrency", async () => {
  const { pool } = openMirrors({ concurrency: 5 });
  const [first = 0, second = 0] = await running(pool, [MIRROR, OTHER], 9);
  assertEquals(first + second, 5);
});

Deno.test("a pull that waits for a slow mirror holds no slot that another could use", async () => {
  const { pool } = openMirrors({ concurrency: 2, settings: { [MIRROR]: { maxConcurrentPulls: 1 } } });
  assertEquals(await running(pool, [MIRROR, OTHER], 3), [1, 1]);
});

Deno.test("a pull that is stopped while it waits gives its slot back", async () => {
  const { pool } = openMirrors({ concurrency: 1 });
  const gate = Promise.withResolvers<void>();
  const inside = pool.withSlot(OTHER, unaborted, () => gate.promise);
  const stop = new AbortController();
  const waiting = pool.withSlot(MIRROR, stop.signal, () => Promise.resolve("never"));
  stop.abort(new Error("stopped by a signal"));
  await assertRejects(() => waiting, Error, "stopped by a signal");
  gate.resolve();
  await inside;
  assertEquals(await running(pool, [MIRROR], 4), [1]);
});

Deno.test("the result or error of a pull is passed on", async () => {
  const { pool } = openMirrors();
  assertEquals(await pool.withSlot(MIRROR, unaborted, () => Promise.resolve("pulled")), "pulled");
  await assertRejects(
    () => pool.withSlot(MIRROR, unaborted, () => Promise.reject(failure("not-found"))),
    RuntimeError,
    "cannot pull",
  );
});

Deno.test("credentials come from the mirror's own file, and a mirror without a file gets none", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const authFile = `${folder}/auth.json`;
    const auths = { [MIRROR]: { username: "gilly", password: "s3cr3t" }, [OTHER]: { identitytoken: "t0ken" } };
    await Deno.writeTextFile(authFile, JSON.stringify({ auths }));
    const { pool, news } = openMirrors({ settings: { [MIRROR]: { authFile }, [OTHER]: { maxConcurrentPulls: 1 } } });
    assertEquals(await pool.credentials(MIRROR, `${MIRROR}/a/b:1`), { username: "gilly", password: "s3cr3t" });
    assertEquals(await pool.credentials(OTHER, `${OTHER}/a/b:1`), undefined);
    assertEquals(await pool.credentials("unheard-of.example", "unheard-of.example/a:1"), undefined);
    assertEquals(
      pool.credentialsInWords(MIRROR, `${MIRROR}/a/b:1`),
      `${MIRROR} was asked with the credentials of ${authFile}`,
    );
    const without = `${OTHER} was asked without credentials: it has no authFile under mirrors`;
    assertEquals(pool.credentialsInWords(OTHER, `${OTHER}/a/b:1`), without);
    assertEquals(news, []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("outside authPaths a mirror gets no credentials, and their file is not read", async () => {
  const authFile = "/nonexistent/auth.json";
  const { pool, news } = openMirrors({ settings: { [MIRROR]: { authFile, authPaths: ["proxy/**"] } } });
  assertEquals(await pool.credentials(MIRROR, `${MIRROR}/team/a:1`), undefined);
  assertEquals(
    pool.credentialsInWords(MIRROR, `${MIRROR}/team/a:1`),
    `${MIRROR} was asked without credentials: team/a is outside mirrors."${MIRROR}".authPaths`,
  );
  assertEquals(news, []);
  await pool.credentials(MIRROR, `${MIRROR}/proxy/a:1`);
  assertEquals(news.length, 1);
});

Deno.test("a mirror gets the credentials of each image's path, and none elsewhere, which is no news", async () => {
  await inTemporaryFolder(async (folder) => {
    const authFile = `${folder}/auth.json`;
    const [one, two] = [{ username: "one", password: "a" }, { username: "two", password: "b\n" }];
    await Deno.writeTextFile(authFile, JSON.stringify({ auths: { [`${MIRROR}/one`]: one, [`${MIRROR}/two`]: two } }));
    const { pool, news } = openMirrors({ settings: { [MIRROR]: { authFile } } });
    const images = ["two/a:1", "three/a:1", "one/a:1"].map((path) => `${MIRROR}/${path}`);
    assertEquals(await Promise.all(images.map((image) => pool.credentials(MIRROR, image))), [two, undefined, one]);
    const key = (path: string) => `"${MIRROR}/${path}"`;
    assertEquals(images.map((image) => pool.credentialsInWords(MIRROR, image)), [
      `${MIRROR} was asked with the credentials of ${authFile}, ` +
      `whose password in the entry ${key("two")} ends in a line break, as echo adds one`,
      `${MIRROR} was asked without credentials: ${authFile} has credentials only for ${key("one")}, ${key("two")}, ` +
      `not for ${MIRROR}/three/a`,
      `${MIRROR} was asked with the credentials of ${authFile}`,
    ]);
    assertEquals(news, []);
  });
});

Deno.test("unusable credentials are reported, and the mirror gets none", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const authFile = `${folder}/auth.json`;
    await Deno.writeTextFile(authFile, '{"auths": {"elsewhere.example": {"password": "s3cr3t"}}}');
    const { pool, news } = openMirrors({ settings: { [MIRROR]: { authFile } } });
    assertEquals(await pool.credentials(MIRROR, `${MIRROR}/a/b:1`), undefined);
    const problem = `${authFile} has no credentials for ${MIRROR}, only for "elsewhere.example"`;
    assertEquals(news, [`${MIRROR}: ${problem}`]);
    assertEquals(
      pool.credentialsInWords(MIRROR, `${MIRROR}/a/b:1`),
      `${MIRROR} was asked without credentials: ${problem}`,
    );
    assert(!news.join().includes("s3cr3t"));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
