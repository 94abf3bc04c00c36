// The fuzz targets: each module that reads foreign input, the inputs it gets, and the error that it
// may throw.

import fc from "fast-check";
import { ConfigError, parseConfig } from "../../lib/config/config.ts";
import { compileExclusions } from "../../lib/images/exclusions.ts";
import { formatReference, InvalidReferenceError, parseReference } from "../../lib/images/reference.ts";
import { compileRules } from "../../lib/images/rules.ts";
import { scanPods } from "../../lib/kubelet/failures.ts";
import { PodListError, readPodList } from "../../lib/kubelet/pods.ts";
import { credentialsIn, pathsIn } from "../../lib/mirrors/auth_entries.ts";
import { readAuthConfig } from "../../lib/mirrors/auth_forms.ts";
import { makePlan } from "../../lib/plan/plan.ts";
import { EVENT_LINE_LIMIT, parseEvent } from "../../lib/runtime/docker/events.ts";
import { readLines } from "../../lib/runtime/docker/lines.ts";
import { PullStreamError, PullTally, readPullLines } from "../../lib/runtime/docker/pull_stream.ts";
import { PROJECT } from "../../tools/deno.ts";
import { sandboxStarted } from "../fakes/engine_events.ts";
import { containerdAnswers, containerdFrames } from "./containerd_targets.ts";
import { hostileText, mutatedBytes, mutatedJson, mutatedText } from "./mutations.ts";

/** A module under fuzz. */
export interface Target {
  readonly name: string;
  readonly inputs: fc.Arbitrary<unknown>;
  /** Runs the module on one input. */
  run(input: unknown): unknown;
  /** Reports whether the module may throw this error. */
  isOwnError(error: unknown): boolean;
}

/** Returns every target; their seeds include the captures in tests/testdata. */
export async function targets(): Promise<Target[]> {
  const pods = await captured("pods_1_20.json");
  const pulls = await Promise.all(
    ["pull_downloaded", "pull_by_digest", "pull_up_to_date", "pull_corrupt_blob", "pull_truncated_blob"]
      .map((name) => captured(`${name}.ndjson`)),
  );
  const config = await Deno.readTextFile(`${PROJECT}systemd/config.example.yaml`);
  return [
    references(),
    configs(config),
    podLists(JSON.parse(pods)),
    podAnswers(pods),
    pullStreams(pulls),
    events(),
    authFiles(),
    containerdFrames(),
    containerdAnswers(),
  ];
}

const REFERENCES = [
  "gcr.io/acme/web:1.0",
  "nginx",
  "localhost:5000/a/b_c/d--e:V1.2-rc.3",
  "quay.io/acme/pinned@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
  "[2001:db8::1]:5000/a/b:c@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
];

function references(): Target {
  return {
    name: "reference parser",
    inputs: fc.oneof(mutatedText(REFERENCES), hostileText()),
    run(input) {
      const text = formatReference(parseReference(input as string));
      const again = formatReference(parseReference(text));
      if (again !== text) throw new Error(`${JSON.stringify(text)} became ${JSON.stringify(again)}`);
    },
    isOwnError: (error) => error instanceof InvalidReferenceError,
  };
}

const CONFIG = `
kubelet: {url: "https://node:10250", tokenFile: token}
registries:
  gcr.io: mirror.example
  "*.pkg.dev": [mirror.example/proxy/{registry}, "other.example:5000"]
mirrors: {mirror.example: {authFile: a.json, maxConcurrentPulls: 2}}
exclude: {images: ["gcr.io/internal/**"], namespaces: [kube-*]}
keep: [k8s.gcr.io/pause:3.2]
repair: {mode: eager, concurrency: 3, backoff: {initial: 1s, max: 5m}}
poll: {interval: 5s, safety: 1m, jitter: 0.2}
`;

function configs(example: string): Target {
  const bomb = [
    "a: &a [x, x]",
    ..."bcdefghijk".split("").map((key, index) =>
      `${key}: &${key} [${Array(9).fill(`*${"abcdefghij"[index]}`).join(", ")}]`
    ),
  ].join("\n");
  return {
    name: "config loader",
    inputs: fc.oneof(mutatedText([CONFIG, example, bomb]), fc.constant(bomb), hostileText()),
    run: (input) => parseConfig(input as string, "config.yaml"),
    isOwnError: (error) => error instanceof ConfigError,
  };
}

const CONTEXT = {
  registries: compileRules([{ origin: "*", mirrors: ["mirror.example/{registry}"] }]),
  exclusions: compileExclusions({ images: ["gcr.io/internal/**"], namespaces: ["kube-*"] }),
  canAliasDigest: true,
  redirected: new Set<string>(),
  retry: () => undefined,
  underWay: () => false,
  now: 0,
};

/** Whatever the guard admits must also be valid for the modules that use it. */
function admit(answer: unknown): void {
  const { failures, creating } = scanPods(readPodList(answer).pods);
  makePlan([...failures, ...creating], CONTEXT);
}

function podLists(answer: unknown): Target {
  return {
    name: "guard of /pods",
    inputs: fc.oneof(mutatedJson([answer]), fc.jsonValue()),
    run: admit,
    isOwnError: (error) => error instanceof PodListError,
  };
}

function podAnswers(text: string): Target {
  return {
    name: "reader of /pods",
    inputs: mutatedText([text]),
    run: (input) => admit(JSON.parse(input as string)),
    // The kubelet client catches what JSON.parse throws, and reports what it received.
    isOwnError: (error) => error instanceof PodListError || error instanceof SyntaxError,
  };
}

function pullStreams(captures: readonly string[]): Target {
  return {
    name: "pull-stream reader",
    inputs: fc.record({ bytes: mutatedBytes(captures), chunk: fc.integer({ min: 1, max: 70_000 }) }),
    async run(input) {
      const { bytes, chunk } = input as { bytes: Uint8Array; chunk: number };
      const tally = new PullTally();
      for await (const line of readPullLines(inChunks(bytes, chunk))) tally.add(line);
      if (!Number.isFinite(tally.bytes)) throw new Error(`an image of ${tally.bytes} bytes`);
    },
    isOwnError: (error) => error instanceof PullStreamError,
  };
}

function events(): Target {
  const name = "gcr.io/a/b:1";
  const lines = [
    sandboxStarted("web"),
    { Type: "image", Action: "untag", Actor: { ID: "sha256:1", Attributes: { name } } },
    { Type: "container", Action: "die", Actor: { ID: "1", Attributes: { "io.kubernetes.docker.type": "container" } } },
  ].map((event) => `${JSON.stringify({ ...event, time: 1600000000, timeNano: 1600000000000000000 })}\n`);
  return {
    name: "event-line reader",
    inputs: fc.record({ bytes: mutatedBytes([lines.join(""), ...lines]), chunk: fc.integer({ min: 1, max: 70_000 }) }),
    async run(input) {
      const { bytes, chunk } = input as { bytes: Uint8Array; chunk: number };
      const tooLong = () => new Error("the line is within the limit");
      for await (const line of readLines(inChunks(bytes, chunk), EVENT_LINE_LIMIT, tooLong)) parseEvent(line);
    },
    // An unreadable event counts as one that did not arrive.
    isOwnError: () => false,
  };
}

function authFiles(): Target {
  const [mirror, secret] = ["mirror.example:5000", "s3cr3t-Passw0rd"];
  const entries = {
    [`https://${mirror}/v1/`]: { auth: btoa(`gilly:${secret}`) },
    [`${mirror}/team`]: { username: "gilly", password: secret },
    [`${mirror}/team/b`]: { identitytoken: secret },
  };
  const config = JSON.stringify({ auths: entries, credHelpers: { "b.example": "gcr" }, credsStore: "pass" });
  const yaml = (key: string, value: string) => `kind: Secret\n${key}:\n  .dockerconfigjson: ${value}\ntype: x\n`;
  const seeds = [
    config,
    JSON.stringify(entries),
    btoa(config),
    JSON.stringify({ kind: "Secret", data: { ".dockerconfigjson": btoa(config) } }),
    yaml("data", btoa(config)),
    yaml("stringData", `|\n    ${config}`),
    `machine ${mirror} login gilly password ${secret}\n`,
  ];
  return {
    name: "reader of auth files",
    inputs: mutatedBytes(seeds),
    run(input) {
      const found = readAuthConfig(new TextDecoder().decode(input as Uint8Array), "auth.json", mirror);
      if ("problem" in found) {
        const leaks = [secret, btoa(`gilly:${secret}`)].some((text) => JSON.stringify(found).includes(text));
        if (leaks) throw new Error("a text repeats the secret");
        return;
      }
      for (const path of ["team/b/app:1", "other:1"]) credentialsIn(found, mirror, `${mirror}/${path}`, "auth.json");
      pathsIn(found, mirror);
    },
    isOwnError: () => false,
  };
}

async function* inChunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  // One-byte chunks of a large input would measure this loop, not the reader.
  const least = Math.max(size, Math.ceil(bytes.byteLength / 5000));
  for (let start = 0; start < bytes.byteLength; start += least) yield bytes.subarray(start, start + least);
}

function captured(name: string): Promise<string> {
  return Deno.readTextFile(`${PROJECT}tests/testdata/${name}`);
}
