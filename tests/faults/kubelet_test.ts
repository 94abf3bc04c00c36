// A real kubelet that goes away, comes back, hangs and changes its certificates, while repairs are under way.

import type { Gilly } from "../e2e/gilly.ts";
import type { Worker } from "../e2e/worker.ts";
import { makeAuthority } from "../fakes/certificates.ts";
import { holdBlobsOf } from "./gate.ts";
import { admit, allFail, type Patient, type RealRow, recovers, triedForReal, withDaemon } from "./real.ts";

interface Ward {
  readonly worker: Worker;
  readonly patients: ReadonlyMap<string, Patient>;
}

interface Fault {
  /** Happens while the pull of the first image is held. */
  readonly begin: (worker: Worker) => Promise<void>;
  /** What Gilly logs about it, if it is certain to notice. */
  readonly said?: RegExp;
  readonly end: (worker: Worker) => Promise<void>;
}

/** The fault happens in the middle of a pull; the repair must be complete before the fault ends. */
function amid(name: string, { begin, said, end }: Fault): RealRow<Ward>["run"] {
  return async ({ worker, patients }) => {
    const patient = patients.get(name)!;
    await using mirror = holdBlobsOf(worker.mirrorHost(0));
    const config = await worker.writeConfig({
      registries: { [`${name}.example`]: mirror.host },
      // With a minute between passes, Gilly would not notice the fault.
      poll: { interval: "1s", safety: "1s" },
    }, `${name}.yaml`);
    await withDaemon(config, `${worker.dir}/${name}.log`, async (gilly: Gilly) => {
      await mirror.reached;
      await begin(worker);
      try {
        if (said !== undefined) await gilly.waitForLine(said);
        mirror.release();
        await gilly.waitForLine(new RegExp(`repaired ${patient.image} `));
      } finally {
        // The rows after it need the kubelet, whether or not this one passed.
        await end(worker);
      }
      await recovers(worker, gilly, patient);
      // Gilly has reached the kubelet again.
      await gilly.waitForLine(new RegExp(`Container app in pod ${name}-.* no longer waits`));
    });
  };
}

const nothing = () => Promise.resolve();
const SKIPPED = /\[GetPods\] +skipped this pass: /;

const ROWS: readonly RealRow<Ward>[] = [
  {
    what: "restarted in the middle of a repair",
    holds: "the repair continues, and the kubelet sees it when it is back",
    run: amid("restart", { begin: (worker) => worker.restartKubelet(), end: nothing }),
  },
  {
    what: "killed in the middle of a repair",
    holds: "logged once, the repair continues, and the kubelet sees it when it is back",
    run: amid("kill", {
      begin: (worker) => worker.kubelet.kill(),
      said: SKIPPED,
      end: (worker) => worker.kubelet.start(),
    }),
  },
  {
    what: "paused (SIGSTOP) for 20 s, the deadline of /pods",
    holds: "logged once, the repair continues, and the kubelet sees it when it is back",
    run: amid("pause", {
      begin: (worker) => Promise.resolve(Deno.kill(worker.kubelet.pid!, "SIGSTOP")),
      said: new RegExp(`${SKIPPED.source}.*within 20 s`),
      end: (worker) => Promise.resolve(Deno.kill(worker.kubelet.pid!, "SIGCONT")),
    }),
  },
  {
    what: "serving certificate replaced by one of the same CA",
    holds: "trusted, no restart",
    run: amid("renewed", {
      begin: (worker) => serveCertificateOf(worker, worker.certificates.authority),
      end: nothing,
    }),
  },
  {
    what: "serving certificate replaced by one of an unknown CA, then of the known one",
    holds: "not trusted meanwhile, and logged",
    run: amid("stranger", {
      begin: (worker) => serveCertificateOf(worker, makeAuthority("stranger")),
      said: new RegExp(`${SKIPPED.source}.*(?:UnknownIssuer|certificate)`),
      end: (worker) => serveCertificateOf(worker, worker.certificates.authority),
    }),
  },
];

const EXPIRED: RealRow<Ward> = {
  what: "client certificate expired, then replaced on disk",
  holds: "logged with what to check, the new one is used without a restart",
  async run({ worker, patients }) {
    const patient = patients.get("expired")!;
    const dayAgo = new Date(Date.now() - 86_400_000);
    const files = await clientCertificate(worker, dayAgo);
    const config = await worker.writeConfig({
      registries: { "expired.example": worker.mirrorHost(0) },
      kubelet: { url: worker.kubelet.url, caFile: worker.certificates.caFile, ...files },
    }, "expired.yaml");
    await withDaemon(config, `${worker.dir}/expired.log`, async (gilly) => {
      await gilly.waitForLine(new RegExp(`${SKIPPED.source}.*answered 401.*check kubelet.certFile`));
      await clientCertificate(worker);
      await recovers(worker, gilly, patient);
    });
  },
};

const NAMES = ["restart", "kill", "pause", "renewed", "stranger", "expired"];

triedForReal<Ward>({
  subject: "kubelet",
  rows: [...ROWS, EXPIRED],
  atOnce: false,
  async prepare(worker, use) {
    const patients = await Promise.all(NAMES.map((name) => admit(worker, name)));
    await allFail(worker, patients);
    await use({ worker, patients: new Map(patients.map((patient) => [patient.name, patient])) });
  },
});

/** Restarts the kubelet, which reads its serving certificate only at start. */
async function serveCertificateOf(worker: Worker, authority: ReturnType<typeof makeAuthority>): Promise<void> {
  const { certificatePem, keyPem } = authority.issueServer({ dnsNames: ["localhost"], ipAddresses: ["127.0.0.1"] });
  const { serverCertFile, serverKeyFile } = worker.certificates;
  await worker.kubelet.stop();
  await Deno.writeTextFile(serverCertFile, certificatePem);
  await Deno.writeTextFile(serverKeyFile, keyPem);
  await worker.kubelet.start();
}

async function clientCertificate(worker: Worker, notAfter?: Date): Promise<{ certFile: string; keyFile: string }> {
  const options = { commonName: "gilly", organization: "system:masters" };
  const { certificatePem, keyPem } = worker.certificates.authority.issueClient({ ...options, notAfter });
  const files = { certFile: `${worker.dir}/expiring.crt`, keyFile: `${worker.dir}/expiring.key` };
  await Deno.writeTextFile(files.certFile, certificatePem);
  await Deno.writeTextFile(files.keyFile, keyPem, { mode: 0o600 });
  return files;
}
