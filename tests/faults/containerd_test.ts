// A real containerd that goes away, comes back, hangs, or is another one behind the same socket, in the
// middle of a repair. Its kubelet is a fake, which has no part in that: pods do not start, but names do.

import { assertEquals } from "@std/assert";
import { Images } from "../../lib/runtime/containerd/messages/images_pb.ts";
import { type CriContainerd, startCriContainerd } from "../e2e/containerd.ts";
import { missingPrograms, type RealRegistry, startEngine, startRegistry } from "../e2e/engine.ts";
import type { Gilly } from "../e2e/gilly.ts";
import { removeEverythingUnder } from "../e2e/leftovers.ts";
import { putImage, randomLayer } from "../e2e/registry_images.ts";
import { makeAuthority } from "../fakes/certificates.ts";
import { RawClient } from "../fakes/grpc_call.ts";
import { startKubelet } from "../fakes/kubelet.ts";
import { missingForProgram } from "../support/requirements.ts";
import { holdBlobsOf } from "./gate.ts";
import { type RealRow, triedTogether, withDaemon } from "./real.ts";

interface Ward {
  readonly dir: string;
  readonly containerd: CriContainerd;
  readonly registry: RealRegistry;
}

/** A pod that waits for an image, and the digest under which the mirror has it. */
interface Patient {
  readonly image: string;
  readonly digest: string;
}

/** How long Gilly waits for an answer of containerd, except to pulls. */
const DEADLINE_SECONDS = 30;

/** Puts `acme/NAME:1` into the registry for each name; NAME.example is its origin. */
function admit({ registry }: Ward, names: readonly string[]): Promise<Patient[]> {
  return Promise.all(names.map(async (name) => {
    const digest = await putImage(registry, `acme/${name}`, "1", [await randomLayer(10_000)]);
    return { image: `${name}.example/acme/${name}:1`, digest };
  }));
}

/** Runs a daemon on the ward's containerd with pods that wait for these images; `mirrors` has each origin's. */
async function withPods(
  { dir, containerd }: Ward,
  patients: readonly Patient[],
  mirrors: Readonly<Record<string, string>>,
  use: (gilly: Gilly) => Promise<void>,
): Promise<void> {
  const cluster = makeAuthority("cluster");
  const kubelet = await startKubelet({
    tokens: ["token-of-gilly"],
    serverCertificate: cluster.issueServer({ dnsNames: ["localhost"] }),
    pods: patients.map(({ image }, index) => ({ name: `pod-${index}`, containers: [{ name: "app", image }] })),
  });
  try {
    await kubelet.advance(4);
    const own = await Deno.makeTempDir({ dir });
    await Deno.writeTextFile(`${own}/ca.crt`, cluster.certificatePem);
    await Deno.writeTextFile(`${own}/token`, "token-of-gilly", { mode: 0o600 });
    const config = {
      kubelet: { url: kubelet.url, caFile: "ca.crt", tokenFile: "token" },
      containerd: { socket: containerd.socket },
      ledger: { file: `${own}/ledger.jsonl` },
      registries: mirrors,
      poll: { interval: "1s", safety: "1s" },
      repair: { backoff: { initial: "100ms", max: "1s" } },
    };
    // JSON is YAML.
    await Deno.writeTextFile(`${own}/config.yaml`, JSON.stringify(config));
    await withDaemon(`${own}/config.yaml`, `${own}/gilly.log`, use);
  } finally {
    await kubelet.close();
  }
}

/** Returns the digest that a name has in the containerd behind a socket, or undefined. */
async function digestOf(socket: string, name: string): Promise<string | undefined> {
  using client = new RawClient(socket);
  const { messages: [found] } = await client.call(Images.method.get, { name });
  return (found as { readonly image?: { readonly target?: { readonly digest?: string } } })?.image?.target?.digest;
}

async function recovers(socket: string, gilly: Gilly, { image, digest }: Patient): Promise<void> {
  await gilly.waitForLine(new RegExp(`\\[Repair\\] +(?:repaired ${image} for|${image} is already present)`));
  assertEquals(await digestOf(socket, image), digest);
}

/** Holds a pull in the middle of a blob while `fault` happens; the repair must end on the socket that it returns. */
function inTheMiddle(name: string, fault: (ward: Ward) => Promise<string>): RealRow<Ward>["run"] {
  return async (ward) => {
    const [patient, other] = await admit(ward, [name, `${name}-other`]) as [Patient, Patient];
    await using mirror = holdBlobsOf(ward.registry.host);
    const mirrors = { [`${name}.example`]: mirror.host, [`${name}-other.example`]: ward.registry.host };
    await withPods(ward, [patient, other], mirrors, async (gilly) => {
      await mirror.reached;
      await recovers(ward.containerd.socket, gilly, other);
      const socket = await fault(ward);
      assertEquals(await digestOf(socket, patient.image), undefined);
      mirror.release();
      await recovers(socket, gilly, patient);
    });
  };
}

/** Begins the fault before the daemon starts, and ends it once the log tells it; the log must tell both once. */
function fromTheStart(
  name: string,
  because: string,
  begin: (ward: Ward) => Promise<() => Promise<void>>,
): RealRow<Ward>["run"] {
  return async (ward) => {
    const [patient] = await admit(ward, [name]) as [Patient];
    const end = await begin(ward);
    await withPods(ward, [patient], { [`${name}.example`]: ward.registry.host }, async (gilly) => {
      const away =
        `\\[containerd\\] {2}containerd at \\S+ does not answer \\(.*${because}.*\\): no image can be pulled`;
      try {
        await gilly.waitForLine(new RegExp(away));
      } finally {
        await end();
      }
      await recovers(ward.containerd.socket, gilly, patient);
      const about = gilly.journal.filter((line) => /\[(?:containerd|Events)\]/.test(line));
      const told = about.map((line) => /does not answer|answers again/.exec(line)?.[0]);
      assertEquals(told, ["does not answer", "answers again"], about.join("\n"));
    });
  };
}

/** Puts another socket in the place of containerd's; the returned function puts it back. */
async function inPlaceOf({ socket }: CriContainerd, another: string): Promise<() => Promise<void>> {
  await Deno.rename(socket, `${socket}.moved`);
  await Deno.symlink(another, socket);
  return () => Deno.rename(`${socket}.moved`, socket);
}

const ROWS: readonly RealRow<Ward>[] = [
  {
    what: "restarted in the middle of a pull",
    holds: "the pull starts again, another image is not delayed",
    run: inTheMiddle("restart", async ({ containerd }) => {
      await containerd.stop();
      await containerd.start();
      return containerd.socket;
    }),
  },
  {
    what: "killed in the middle of a pull",
    holds: "the pull starts again, another image is not delayed",
    run: inTheMiddle("kill", async ({ containerd }) => {
      await containerd.stop("SIGKILL");
      await containerd.start();
      return containerd.socket;
    }),
  },
  {
    what: "killed, and started later",
    holds: "logged once, and once that it is back; then repaired",
    run: fromTheStart("later", "os error", async ({ containerd }) => {
      await containerd.stop("SIGKILL");
      return () => containerd.start();
    }),
  },
  {
    what: "its socket removed while it runs, then restarted",
    holds: "logged once, and once that it is back; then repaired",
    run: fromTheStart("removed", "No such file", async ({ containerd }) => {
      await Deno.remove(containerd.socket);
      return async () => {
        await containerd.stop();
        await containerd.start();
      };
    }),
  },
  {
    what: "a Docker Engine's socket in the place of its own, for a while",
    holds: "logged once what listens there; then repaired",
    async run(ward) {
      const engine = await startEngine(`${ward.dir}/docker`);
      try {
        const run = fromTheStart(
          "docker",
          "what listens there .* containerd",
          ({ containerd }) => inPlaceOf(containerd, engine.socket),
        );
        await run(ward);
      } finally {
        await engine.stop();
      }
    },
  },
  {
    what: "another containerd's socket in the place of its own, in the middle of a pull",
    holds: "the image is pulled and named in the one that is there now",
    async run(ward) {
      const another = await startCriContainerd(`${ward.dir}/another`);
      let back = () => Promise.resolve();
      try {
        const run = inTheMiddle("another", async ({ containerd }) => {
          back = await inPlaceOf(containerd, another.socket);
          // One that ends by itself would remove what is in the place of its socket.
          await containerd.stop("SIGKILL");
          return another.socket;
        });
        await run(ward);
      } finally {
        await another.stop();
        await back();
        await ward.containerd.start();
      }
      assertEquals(await digestOf(ward.containerd.socket, "another.example/acme/another:1"), undefined);
    },
  },
  {
    what: `paused (SIGSTOP) for ${DEADLINE_SECONDS} s`,
    holds: "every call ends by its deadline, logged once; then repaired",
    run: fromTheStart("pause", `no answer within ${DEADLINE_SECONDS} s`, ({ containerd }) => {
      const { pid } = containerd;
      Deno.kill(pid!, "SIGSTOP");
      return Promise.resolve(() => Promise.resolve(Deno.kill(pid!, "SIGCONT")));
    }),
  },
];

triedTogether<Ward>({
  subject: "containerd",
  on: "a real one",
  rows: ROWS,
  atOnce: false,
  missing: [...missingPrograms(), ...missingForProgram(), ...(Deno.uid() === 0 ? [] : ["root"])],
  async prepare(use) {
    const dir = await Deno.makeTempDir({ prefix: "gilly-containerd-faults-" });
    await using begun = new AsyncDisposableStack();
    begun.defer(() => removeEverythingUnder(dir));
    const containerd = await startCriContainerd(`${dir}/containerd`);
    begun.defer(() => containerd.stop());
    const registry = await startRegistry(`${dir}/registry`);
    begun.defer(() => registry.remove());
    await use({ dir, containerd, registry });
  },
});
