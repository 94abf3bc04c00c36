// End to end: real mirrors that require credentials, and mirrors that misbehave in every way, on
// two real Engines. The tests check what the kubelet reports and which mirrors Gilly contacted.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { readLedger } from "../../lib/record/ledger.ts";
import { missingForEndToEnd, testIfPossible } from "../support/requirements.ts";
import { stepsOf } from "../support/steps.ts";
import { missingForCurrentEngine, startCurrentEngine } from "./current_engine.ts";
import { REGISTRY_USER, startEngine } from "./engine.ts";
import {
  answering,
  askingForIdentity,
  type Fault,
  type FaultyRegistry,
  silent,
  startFaultyRegistry,
  torn,
} from "./faulty_registry.ts";
import { Gilly } from "./gilly.ts";
import { withWorker, type Worker } from "./worker.ts";

/** The mirror that always works, and the one that admits only REGISTRY_USER. */
const UP = 0;
const GUARDED = 1;

interface FaultCase {
  readonly name: string;
  readonly fault: Fault;
  /** How Gilly classifies it. */
  readonly failure: string;
  /** Whether the mirror's host cools down, so that other images skip it for a while. */
  readonly coolsDown: boolean;
}

const FAULTS: readonly FaultCase[] = [
  {
    name: "401",
    fault: answering(401, { say: "who are you?", headers: { "WWW-Authenticate": 'Basic realm="mirror"' } }),
    failure: "denied",
    coolsDown: false,
  },
  { name: "403", fault: answering(403, { say: "not for you" }), failure: "denied", coolsDown: false },
  { name: "404", fault: answering(404, { say: "no such image" }), failure: "not-found", coolsDown: false },
  {
    name: "429",
    fault: answering(429, { say: "slow down", headers: { "Retry-After": "77" } }),
    failure: "rate-limited",
    coolsDown: false,
  },
  { name: "500", fault: answering(500, { say: "out of order" }), failure: "registry-error", coolsDown: false },
  { name: "nothing", fault: silent, failure: "stalled", coolsDown: true },
  { name: "a-torn-body", fault: torn, failure: "registry-error", coolsDown: false },
];

/** Longer than a busy disk delays a pull from a good mirror, which would otherwise cool down. */
const NO_PROGRESS = "15s";

const IDENTITY_TOKEN = "identity-token-of-alice";
const WRONG_PASSWORD = "not-the-password";
const OTHER_TEAM = { username: "bob", password: "password-of-another-team" };
const WITH_LINE_BREAK = btoa("alice:wonderland\n");
const SECRETS = [
  REGISTRY_USER.password,
  IDENTITY_TOKEN,
  WRONG_PASSWORD,
  OTHER_TEAM.password,
  btoa("alice:wonderland"),
  WITH_LINE_BREAK,
];

interface CredentialsCase {
  readonly name: string;
  /** Text of the auth file for a mirror, or undefined if there is no file. */
  readonly file: ((host: string) => string) | undefined;
  /** What the refusal says; undefined if the pod runs. */
  readonly denied: ((authFile: string) => string) | undefined;
  readonly fault?: Fault;
}

const entry = (fields: Record<string, string>) => (host: string) => JSON.stringify({ auths: { [host]: fields } });

const TWO_TEAMS = "keys-of-two-teams";
const ANOTHER_TEAM = "only-another-teams-key";

const CREDENTIALS: readonly CredentialsCase[] = [
  { name: "auth", file: entry({ auth: btoa("alice:wonderland") }), denied: undefined },
  {
    name: "auth-beside-another-password",
    file: entry({ username: "alice", password: WRONG_PASSWORD, auth: btoa("alice:wonderland") }),
    denied: undefined,
  },
  { name: "a-byte-order-mark", file: (host) => `\ufeff${entry(REGISTRY_USER)(host)}`, denied: undefined },
  {
    name: "a-dockercfg",
    file: (host) => JSON.stringify({ [`https://${host}/v1/`]: { auth: btoa("alice:wonderland"), email: "" } }),
    denied: undefined,
  },
  {
    name: TWO_TEAMS,
    file: (host) =>
      JSON.stringify({
        auths: {
          [`${host}/guarded/other`]: OTHER_TEAM,
          [`${host}/guarded/${TWO_TEAMS}`]: REGISTRY_USER,
          [host]: OTHER_TEAM,
        },
      }),
    denied: undefined,
  },
  {
    name: ANOTHER_TEAM,
    file: (host) => JSON.stringify({ auths: { [`${host}/guarded/other`]: OTHER_TEAM } }),
    // The middle of a long line is left out.
    denied: (file) => `${file} has credentials only for`,
  },
  {
    name: "a-line-break-in-the-password",
    file: entry({ auth: WITH_LINE_BREAK }),
    denied: (file) => `was asked with the credentials of ${file}, whose password in the entry`,
  },
  { name: "username-and-password", file: entry(REGISTRY_USER), denied: undefined },
  {
    name: "identitytoken",
    file: entry({ identitytoken: IDENTITY_TOKEN }),
    denied: undefined,
    fault: askingForIdentity(IDENTITY_TOKEN),
  },
  {
    name: "a-wrong-password",
    file: entry({ username: "alice", password: WRONG_PASSWORD }),
    denied: (file) => `was asked with the credentials of ${file}`,
  },
  { name: "a-missing-file", file: undefined, denied: (file) => `cannot read ${file}` },
  { name: "no-json", file: () => "alice:wonderland", denied: (file) => `${file} is not JSON` },
  {
    name: "another-mirrors-entry",
    file: () => entry(REGISTRY_USER)("elsewhere.example"),
    denied: (file) => `${file} has no credentials for`,
  },
  {
    name: "a-helper",
    file: (host) => JSON.stringify({ credHelpers: { [host]: "gcr" } }),
    denied: (file) => `${file} uses the credential helper`,
  },
];

/** The file that is corrected while Gilly runs. */
const CORRECTED = "a-wrong-password";

/** Images that only the misbehaving mirror has, that another has too, and that need credentials. */
const onlyImage = (name: string) => `only.example/${name}/app:1`;
const nextImage = (name: string) => `next.example/${name}/app:1`;
const guardedImage = (name: string) => `guarded.example/${name}/app:1`;
/** The path of an image in a mirror: the origin's path, below its first label. */
const pathOf = (image: string) => image.replace(".example/", "/");

interface Mirrors {
  readonly faulty: ReadonlyMap<string, FaultyRegistry>;
  readonly guarded: ReadonlyMap<string, FaultyRegistry>;
}

const ENGINES = [
  ["the installed Docker Engine", startEngine, []],
  ["a current Docker Engine with the containerd image store", startCurrentEngine, missingForCurrentEngine()],
] as const;

for (const [engine, start, missing] of ENGINES) {
  const needs = [...missingForEndToEnd(), ...missing];
  testIfPossible(`mirrors that fail in every way, and all kinds of credentials, on ${engine}`, needs, async (t) => {
    // By default the Engine downloads three layers at once: a truncated one that it retries would
    // delay others.
    const startEngine = (dir: string, { args = [] }: { readonly args?: readonly string[] } = {}) =>
      start(dir, { args: [...args, "--max-concurrent-downloads=64"] });
    await withWorker({ mirrors: 2, guarded: GUARDED, startEngine }, async (worker) => {
      await using stack = new AsyncDisposableStack();
      const front = (index: number, fault?: Fault) =>
        stack.adopt(startFaultyRegistry(worker.mirrorHost(index), fault), (registry) => registry.stop());
      const mirrors: Mirrors = {
        faulty: new Map(FAULTS.map(({ name, fault }) => [name, front(UP, fault)])),
        guarded: new Map(CREDENTIALS.map(({ name, fault }) => [name, front(fault ? UP : GUARDED, fault)])),
      };
      await makeWorkerStuck(worker);
      const config = await writeConfig(worker, mirrors);
      await using gilly = new Gilly(["run", "--config", config], { logFile: `${worker.dir}/gilly.log` });
      await checkMirrors(t, worker, mirrors, gilly);
    });
  });

  testIfPossible(
    `a mirror that fails one image goes on to serve the others of its path, on ${engine}`,
    needs,
    async () => {
      await withWorker({ startEngine: start }, async (worker) => {
        await using stack = new AsyncDisposableStack();
        const limits = answering(429, { say: "slow down" });
        const mirror = stack.adopt(
          startFaultyRegistry(
            worker.mirrorHost(UP),
            (request, forward) => request.url.includes("/v2/team/bad/") ? limits(request, forward) : forward(),
          ),
          (registry) => registry.stop(),
        );
        const config = await worker.writeConfig({
          registries: { "team.example": `${mirror.host}/team` },
          repair: { backoff: { initial: "1s", max: "1s" } },
          logging: { format: "json", level: "debug" },
        });
        const good = [1, 2].map((number) => `good-${number}`);
        await Promise.all(good.map((name) => worker.seed(UP, `team/${name}/app:1`)));
        const waits = async (name: string) => {
          await worker.addPod({ name, containers: [{ name: "app", image: `team.example/${name}/app:1` }] });
        };
        await waits("bad");
        await using gilly = new Gilly(["run", "--config", config], { logFile: `${worker.dir}/gilly.log` });
        const candidate = `${mirror.host}/team/bad/app:1`;
        await gilly.waitForLine(lineAbout({ candidate, failure: "rate-limited" }));
        for (const name of good) {
          await waits(name);
          await worker.waitForRunning(name);
        }
        await gilly.waitForLine(lineAbout({ candidate, failure: "cooling-down" }));
        const heldUp = gilly.journal.filter((line) => line.includes('"cooling-down"') && !line.includes("/team/bad/"));
        assertEquals([...heldUp, ...gilly.journal.filter((line) => line.includes('"tag":"Mirror"'))], []);
      });
    },
  );
}

async function checkMirrors(t: Deno.TestContext, worker: Worker, mirrors: Mirrors, gilly: Gilly): Promise<void> {
  const { step, failed } = stepsOf(t);
  for (const { name, failure, coolsDown } of FAULTS) {
    const host = mirrors.faulty.get(name)!.host;
    await step(`a mirror that answers with ${name} is ${failure}${coolsDown ? ", and cools down" : ""}`, async () => {
      await gilly.waitForLine(lineAbout({ candidate: `${host}/${pathOf(onlyImage(name))}`, failure }));
      if (coolsDown) await gilly.waitForLine(lineAbout({ tag: "Mirror", message: `${host} cools down for ` }));
    });
    await step(`the next mirror serves the image that this one does not (${name})`, async () => {
      await gilly.waitForLine(lineAbout({ tag: "Repair", message: `repaired ${nextImage(name)} ` }));
      assert(await worker.imageId(nextImage(name)) !== undefined);
    });
  }
  for (const { name, denied } of CREDENTIALS) {
    if (denied === undefined) continue;
    await step(`an auth file with ${name} is denied, and the refusal names it`, async () => {
      const refusal = { message: `cannot repair ${guardedImage(name)} `, reason: "denied" };
      assertStringIncludes(await gilly.waitForLine(lineAbout(refusal)), denied(authFileOf(worker, name)));
    });
  }
  const correctedFile = entry(REGISTRY_USER)(mirrors.guarded.get(CORRECTED)!.host);
  await Deno.writeTextFile(authFileOf(worker, CORRECTED), correctedFile);
  for (const registry of mirrors.faulty.values()) registry.fault = undefined;
  for (const { name, denied } of CREDENTIALS) {
    if (denied !== undefined) continue;
    await step(`a mirror accepts the credentials of an auth file with ${name}`, async () => {
      await worker.waitForRunning(`guarded-${name}`);
    });
  }
  await step("a corrected auth file is read again, and the pod runs", async () => {
    await worker.waitForRunning(`guarded-${CORRECTED}`);
  });
  await step("once the faults are gone every pod runs", async () => {
    const pods = FAULTS.flatMap(({ name }) => [`only-${name}`, `next-${name}`]);
    await Promise.all(pods.map((pod) => worker.waitForRunning(pod)));
  });
  await step("only the mirrors that failed cool down", () => {
    const lines = gilly.journal.filter((line) => line.includes('"tag":"Mirror"') && line.includes(" cools down for "));
    const expected = FAULTS.filter(({ coolsDown }) => coolsDown).map(({ name }) => mirrors.faulty.get(name)!.host);
    const hosts = lines.map((line) => /"mirror":"([^"]+)"/.exec(line)?.[1]);
    assertEquals(hosts.sort(), expected.sort(), lines.join("\n"));
    return Promise.resolve();
  });
  await step("no mirror receives the credentials of another", () => {
    for (const [name, { authorizations }] of mirrors.faulty) assertEquals([...authorizations], [], name);
    const [own] = [...mirrors.guarded.get("auth")!.authorizations];
    assertEquals(own, `Basic ${btoa("alice:wonderland")}`);
    assertEquals([...mirrors.guarded.get(TWO_TEAMS)!.authorizations], [`Basic ${btoa("alice:wonderland")}`]);
    assertEquals([...mirrors.guarded.get(ANOTHER_TEAM)!.authorizations], []);
    return Promise.resolve();
  });
  await step("no secret reaches the journal or the ledger", async () => {
    const { entries } = await readLedger(worker.ledgerFile);
    assert(entries.length > FAULTS.length);
    const texts = [...gilly.journal, JSON.stringify(entries)];
    for (const secret of SECRETS) assertEquals(texts.filter((text) => text.includes(secret)), []);
  });
  assertEquals(failed, [], "steps that failed");
}

/** Matches a JSON line with these fields; a message need only begin with the given text. */
function lineAbout(fields: Record<string, string>): RegExp {
  const parts = Object.entries(fields).map(([name, value]) => {
    const text = JSON.stringify(value).slice(0, -1).replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
    return `(?=.*"${name}":${text}${name === "message" ? "" : '"'})`;
  });
  return new RegExp(parts.join(""));
}

async function makeWorkerStuck(worker: Worker): Promise<void> {
  const pods = [
    ...FAULTS.map(({ name }) => ({ name: `only-${name}`, image: onlyImage(name), index: UP })),
    ...FAULTS.map(({ name }) => ({ name: `next-${name}`, image: nextImage(name), index: UP })),
    ...CREDENTIALS.map(({ name, fault }) => (
      { name: `guarded-${name}`, image: guardedImage(name), index: fault ? UP : GUARDED }
    )),
  ];
  await Promise.all(pods.map(({ image, index }) => worker.seed(index, pathOf(image))));
  await Promise.all(pods.map(({ name, image }) => worker.addPod({ name, containers: [{ name: "app", image }] })));
  await Promise.all(pods.map(({ name }) => worker.waitForReason(name, "app", ["ErrImagePull", "ImagePullBackOff"])));
}

async function writeConfig(worker: Worker, { faulty, guarded }: Mirrors): Promise<string> {
  const registries: Record<string, string[]> = {};
  for (const [name, { host }] of faulty) {
    registries[`only.example/${name}`] = [`${host}/only/${name}`];
    registries[`next.example/${name}`] = [host, worker.mirrorHost(UP)].map((mirror) => `${mirror}/next/${name}`);
  }
  const settings: Record<string, { authFile: string }> = {};
  for (const { name, file } of CREDENTIALS) {
    const { host } = guarded.get(name)!;
    registries[`guarded.example/${name}`] = [`${host}/guarded/${name}`];
    settings[host] = { authFile: authFileOf(worker, name) };
    if (file !== undefined) await Deno.writeTextFile(authFileOf(worker, name), file(host), { mode: 0o600 });
  }
  return await worker.writeConfig({
    registries,
    mirrors: settings,
    repair: { backoff: { initial: "1s", max: "1s" }, noProgress: NO_PROGRESS, concurrency: 16 },
    logging: { format: "json" },
  });
}

function authFileOf(worker: Worker, name: string): string {
  return `${worker.dir}/auth-${name}.json`;
}
