// Mirrors that fail in every way a mirror can, in front of a real Docker Engine and a real kubelet.
// All of them fail at the same time, next to one that works.

import { assertEquals } from "@std/assert";
import { sleep } from "../../lib/support/timeouts.ts";
import { startEngine } from "../e2e/engine.ts";
import {
  answering,
  corrupt,
  type Fault,
  type FaultyRegistry,
  startFaultyRegistry,
  torn,
} from "../e2e/faulty_registry.ts";
import type { Gilly } from "../e2e/gilly.ts";
import type { Worker } from "../e2e/worker.ts";
import { type Authority, makeAuthority } from "../fakes/certificates.ts";
import {
  admit,
  allFail,
  type Patient,
  type RealRow,
  recovers,
  staysNameless,
  triedForReal,
  withDaemon,
} from "./real.ts";
import { startTlsMirror, TLS_MIRROR, type TlsMirror } from "./tls_mirror.ts";

interface Ward {
  readonly worker: Worker;
  readonly gilly: Gilly;
  readonly patients: ReadonlyMap<string, Patient>;
  readonly proxies: ReadonlyMap<string, FaultyRegistry>;
  readonly tls: TlsMirror;
}

/** What the proxy of a mirror does, and how Gilly reports it. */
interface MirrorFault {
  readonly name: string;
  readonly what: string;
  readonly fault: Fault;
  readonly said: RegExp;
}

/** Resolves once the slow mirror has sent some kilobytes. */
const sentSlowly = Promise.withResolvers<void>();
const quick = new AbortController();

const FAULTS: readonly MirrorFault[] = [
  {
    name: "unauthorized",
    what: "401",
    fault: answering(401, { say: "who are you?", headers: { "WWW-Authenticate": 'Basic realm="mirror"' } }),
    said: /denied/,
  },
  { name: "forbidden", what: "403", fault: answering(403, { say: "not for you" }), said: /denied/ },
  { name: "missing", what: "404", fault: answering(404, { say: "no such image" }), said: /not-in-mirror/ },
  {
    name: "limited",
    what: "429 with Retry-After",
    fault: answering(429, { say: "slow down", headers: { "Retry-After": "2" } }),
    said: /toomanyrequests|slow down|429/i,
  },
  { name: "broken", what: "500", fault: answering(500, { say: "out of order" }), said: /out of order|500/ },
  { name: "torn", what: "truncated blob", fault: torn, said: /EOF/ },
  {
    name: "mistaken",
    what: "blobs whose content does not match their digest",
    fault: corrupt,
    said: /verification|digest/,
  },
];

const ROWS: readonly RealRow<Ward>[] = [
  ...FAULTS.map(({ name, what, said }): RealRow<Ward> => ({
    what,
    holds: "nothing under the name meanwhile, another mirror's image is not delayed",
    async run(ward) {
      const patient = ward.patients.get(name)!;
      await saysOf(ward, patient, said);
      await wellIsRepaired(ward);
      await staysNameless(ward.worker, patient);
      ward.proxies.get(name)!.fault = undefined;
      await recovers(ward.worker, ward.gilly, patient);
    },
  })),
  {
    what: "1 kB/s, later fast again",
    holds: "it is not given up, another mirror's image is not delayed",
    async run(ward) {
      await sentSlowly.promise;
      await wellIsRepaired(ward);
      quick.abort();
      await recovers(ward.worker, ward.gilly, ward.patients.get("slow")!);
      assertEquals(ward.gilly.journal.filter((line) => line.includes("no image") && line.includes("acme/slow")), []);
    },
  },
  {
    what: "down, then back",
    holds: "it cools down and is not asked for every image, then delivers",
    async run(ward) {
      const patient = ward.patients.get("down")!;
      await ward.gilly.waitForLine(new RegExp(`\\[Mirror\\] +${ward.worker.mirrorHost(1)} cools down for`));
      await wellIsRepaired(ward);
      await staysNameless(ward.worker, patient);
      await ward.worker.mirrors[1]!.start();
      await recovers(ward.worker, ward.gilly, patient);
    },
  },
  {
    what: "TLS with a certificate of an unknown CA, then of a known one",
    holds: "it is not trusted meanwhile",
    async run(ward) {
      const patient = ward.patients.get("tls")!;
      await saysOf(ward, patient, /x509: certificate signed by unknown authority/);
      await staysNameless(ward.worker, patient);
      await ward.tls.useCertificate(known.issueServer({ dnsNames: [TLS_MIRROR] }));
      await recovers(ward.worker, ward.gilly, patient);
    },
  },
];

const known: Authority = makeAuthority("known");
const unknown: Authority = makeAuthority("unknown");

let tls: TlsMirror;

triedForReal<Ward>({
  subject: "mirror",
  rows: ROWS,
  atOnce: true,
  worker: {
    mirrors: 2,
    async startEngine(dir, options) {
      await Deno.mkdir(dir, { recursive: true });
      await Deno.writeTextFile(`${dir}/known.crt`, known.certificatePem);
      tls = startTlsMirror(unknown.issueServer({ dnsNames: [TLS_MIRROR] }));
      const launcher = ["env", `HTTPS_PROXY=${tls.proxyUrl}`, `SSL_CERT_FILE=${dir}/known.crt`];
      // By default Docker retries a truncated blob for most of a minute.
      const args = [...options?.args ?? [], "--max-download-attempts=1"];
      return await startEngine(dir, { args, launcher });
    },
  },
  async prepare(worker, use) {
    await using parts = new AsyncDisposableStack();
    const names = [...FAULTS.map(({ name }) => name), "slow", "tls", "well"];
    const patients = await Promise.all(names.map((name) => admit(worker, name)));
    patients.push(await admit(worker, "down", 1));
    await worker.mirrors[1]!.stop();
    const proxies = new Map<string, FaultyRegistry>();
    for (const { name, fault } of [...FAULTS, { name: "slow", fault: slow }]) {
      const proxy = startFaultyRegistry(worker.mirrorHost(0), fault);
      parts.defer(() => proxy.stop());
      proxies.set(name, proxy);
    }
    parts.use(tls);
    tls.target = worker.mirrorHost(0);
    const config = await worker.writeConfig({
      registries: {
        ...Object.fromEntries([...proxies].map(([name, { host }]) => [`${name}.example`, host])),
        "tls.example": TLS_MIRROR,
        "down.example": worker.mirrorHost(1),
        "well.example": worker.mirrorHost(0),
      },
      repair: { backoff: { initial: "1s", max: "2s" }, noProgress: "30s", concurrency: 16 },
    });
    await allFail(worker, patients);
    const byName = new Map(patients.map((patient) => [patient.name, patient]));
    await withDaemon(
      config,
      `${worker.dir}/gilly.log`,
      (gilly) => use({ worker, gilly, patients: byName, proxies, tls }),
    );
  },
});

function saysOf({ gilly }: Ward, { image }: Patient, said: RegExp): Promise<string> {
  return gilly.waitForLine(new RegExp(`cannot repair ${image} .*(?:${said.source})`, said.flags));
}

async function wellIsRepaired({ gilly }: Ward): Promise<void> {
  await gilly.waitForLine(/repaired well\.example\/acme\/well:1 /);
}

/** Serves manifests as they are, and blobs at a kilobyte per second until `quick` is aborted. */
async function slow(request: Request, forward: (path?: string) => Promise<Response>): Promise<Response> {
  const whole = await forward();
  if (!request.url.includes("/blobs/") || request.method === "HEAD") return whole;
  const bytes = new Uint8Array(await whole.arrayBuffer());
  let sent = 0;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const size = quick.signal.aborted ? 64 * 1024 : 1024;
      if (!quick.signal.aborted && sent > 0) await sleep(1000, quick.signal);
      controller.enqueue(bytes.subarray(sent, sent + size));
      sent += size;
      if (sent > 3 * 1024) sentSlowly.resolve();
      if (sent >= bytes.byteLength) controller.close();
    },
  });
  return new Response(body, { status: whole.status, headers: { "Content-Length": String(bytes.byteLength) } });
}
