// A real Docker Engine that goes away, comes back, hangs and runs out of disk, in the middle of a repair.

import { assertEquals, assertGreater } from "@std/assert";
import { startEngine } from "../e2e/engine.ts";
import type { Gilly } from "../e2e/gilly.ts";
import type { Worker } from "../e2e/worker.ts";
import { holdBlobsOf } from "./gate.ts";
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
import { mountTmpfs, type SmallDisk } from "./tmpfs.ts";

interface Ward {
  readonly worker: Worker;
  readonly disk: SmallDisk;
  readonly patients: ReadonlyMap<string, Patient>;
}

const MEGABYTE = 1024 * 1024;
const ROOMY = 512 * MEGABYTE;
/** How long Gilly waits for an answer of the Engine, except to pulls. */
const PAUSE_SECONDS = 30;

/** Holds a pull in the middle of a blob while `fault` happens to the Engine. */
function inTheMiddle(name: string, fault: (worker: Worker) => Promise<void>): RealRow<Ward>["run"] {
  return async ({ worker, patients }) => {
    const [patient, other] = [patients.get(name)!, patients.get(`${name}-other`)!];
    await using mirror = holdBlobsOf(worker.mirrorHost(0));
    const config = await configFor(worker, { [name]: mirror.host, [`${name}-other`]: worker.mirrorHost(0) });
    await withDaemon(config, `${worker.dir}/${name}.log`, async (gilly) => {
      await mirror.reached;
      await gilly.waitForLine(new RegExp(`repaired ${other.image} `));
      await fault(worker);
      await staysNameless(worker, patient);
      mirror.release();
      await recovers(worker, gilly, patient);
      await recovers(worker, gilly, other);
    });
  };
}

/**
 * Begins the fault before the daemon starts and ends it once the log has `said`. `lines` is what
 * the log reports about the Engine.
 */
async function fromTheStart(
  { worker, patients }: Ward,
  name: string,
  said: RegExp,
  fault: { begin(): Promise<void>; end(gilly: Gilly): Promise<void> },
  lines: readonly string[],
): Promise<void> {
  const patient = patients.get(name)!;
  const config = await configFor(worker, { [name]: worker.mirrorHost(0) });
  await fault.begin();
  await withDaemon(config, `${worker.dir}/${name}.log`, async (gilly) => {
    try {
      await gilly.waitForLine(said);
    } finally {
      await fault.end(gilly);
    }
    await staysNameless(worker, patient);
    await recovers(worker, gilly, patient);
    const about = gilly.journal.filter((line) => /\[(?:Docker|Events)\]/.test(line));
    assertEquals(about.map((line) => /does not answer|answers again/.exec(line)?.[0]), [...lines], about.join("\n"));
  });
}

/** The log reports once that the Engine does not answer, and once that it answers again. */
const AWAY_AND_BACK = ["does not answer", "answers again"];
const AWAY = (because: string) =>
  new RegExp(`\\[Docker\\] {2}the Docker Engine at \\S+ does not answer \\(.*${because}.*\\): no image can be pulled`);

const ROWS: readonly RealRow<Ward>[] = [
  {
    what: "restarted in the middle of a pull",
    holds: "the pull starts again, another image is not delayed",
    run: inTheMiddle("restart", (worker) => worker.restartEngine()),
  },
  {
    what: "killed in the middle of a pull",
    holds: "the pull starts again, another image is not delayed",
    run: inTheMiddle("kill", async (worker) => {
      await worker.killEngine();
      await worker.engine.start();
    }),
  },
  {
    what: "socket missing when Gilly starts",
    holds: "it starts, logs that, and continues once the socket exists",
    run: (ward) =>
      fromTheStart(ward, "missing", AWAY("os error"), {
        begin: () => ward.worker.engine.stop(),
        end: () => ward.worker.engine.start(),
      }, AWAY_AND_BACK),
  },
  {
    what: "paused (SIGSTOP) for 30 s",
    holds: "every call ends by its deadline, the daemon continues",
    async run(ward) {
      const pid = Number(await Deno.readTextFile(`${ward.worker.engine.dir}/dockerd.pid`));
      const start = performance.now();
      await fromTheStart(ward, "pause", AWAY("no answer within 30 s"), {
        begin: () => Promise.resolve(Deno.kill(pid, "SIGSTOP")),
        end: () => Promise.resolve(Deno.kill(pid, "SIGCONT")),
      }, AWAY_AND_BACK);
      assertGreater(performance.now() - start, 1000 * PAUSE_SECONDS);
    },
  },
  {
    what: "disk full (its data root, a small tmpfs)",
    holds: "logged with its cause, nothing half done, retried once there is room",
    run: (ward) =>
      fromTheStart(ward, "full", /cannot repair full.*no space left on device/, {
        begin: async () => ward.disk.resize(await usedOn(ward.disk.dir) + MEGABYTE / 4),
        end: () => ward.disk.resize(ROOMY),
      }, []),
  },
];

const NAMES = ["restart", "restart-other", "kill", "kill-other", "missing", "pause", "full"];
let disk: SmallDisk;

triedForReal<Ward>({
  subject: "Docker",
  rows: ROWS,
  atOnce: false,
  worker: {
    async startEngine(dir, options) {
      await Deno.mkdir(dir, { recursive: true });
      disk = await mountTmpfs(ROOMY, `${dir}/data`);
      return await startEngine(dir, options);
    },
  },
  async prepare(worker, use) {
    const patients = await Promise.all(NAMES.map((name) => admit(worker, name)));
    await allFail(worker, patients);
    await use({ worker, disk, patients: new Map(patients.map((patient) => [patient.name, patient])) });
  },
});

function configFor(worker: Worker, mirrors: Readonly<Record<string, string>>): Promise<string> {
  const registries = Object.fromEntries(Object.entries(mirrors).map(([name, host]) => [`${name}.example`, host]));
  const repair = { backoff: { initial: "500ms", max: "2s" } };
  return worker.writeConfig({ registries, repair }, `${Object.keys(mirrors)[0]}.yaml`);
}

async function usedOn(dir: string): Promise<number> {
  const { stdout } = await new Deno.Command("df", { args: ["--block-size=1", "--output=used", dir] }).output();
  return Number(new TextDecoder().decode(stdout).trim().split("\n")[1]);
}
