// A bare Debian host booted by systemd, for tests: a systemd-nspawn container over the cached tree.
// What is written to it is gone when it stops, and nothing of it stays on this machine.

import { endsWithin } from "../../lib/support/timeouts.ts";
import { type Outcome, outcomeOf } from "../support/outcome.ts";
import { PATIENCE_MS } from "../support/patience.ts";
import { baseTree, type Suite } from "./base_tree.ts";
import { makeControlGroups, removeControlGroups } from "./control_groups.ts";
import { type Entry, Journal } from "./journal.ts";

export interface HostOptions {
  /** Folders of this machine that the host sees, without mounts below them: path here -> there. */
  readonly binds?: Readonly<Record<string, string>>;
  /** By default bookworm. */
  readonly suite?: Suite;
  /** Its own network with only loopback; by default it shares this machine's. */
  readonly ownNetwork?: boolean;
  /** The tree that it boots from; by default the bare host's. */
  readonly tree?: string;
}

/** The flags of nsenter(1) for all namespaces of a host. */
const NAMESPACES = ["-m", "-u", "-i", "-n", "-p", "-C"];

// systemd-nspawn starts in the groups that are given before the --.
const ENTER_GROUPS = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs"; shift; done; shift; exec "$@"';

/** Boots a host and resolves when its systemd reports that it is up. */
export async function bootHost(options: HostOptions = {}): Promise<Host> {
  const tree = options.tree ?? await baseTree(options.suite);
  await using parts = new AsyncDisposableStack();
  const directory = await Deno.makeTempDir({ prefix: "gilly-host-" });
  parts.defer(() => Deno.remove(directory, { recursive: true }));
  const name = directory.slice(directory.lastIndexOf("/") + 1);
  const groups = await makeControlGroups(name);
  parts.defer(() => removeControlGroups(groups));

  const notices = Deno.listenDatagram({ transport: "unixpacket", path: `${directory}/notify` });
  const binds = Object.entries(options.binds ?? {}).map(([here, there]) => `--bind=${here}:${there}:norbind`);
  const console = await Deno.open(`${directory}/console`, { write: true, create: true });
  const nspawn = new Deno.Command("sh", {
    args: [
      ...["-c", ENTER_GROUPS, "sh", ...groups, "--"],
      ...[
        "systemd-nspawn",
        "--quiet",
        `--directory=${tree}`,
        "--volatile=overlay",
        `--machine=${name}`,
        "--hostname=worker",
      ],
      ...["--boot", "--register=no", "--keep-unit", "--console=pipe", "--notify-ready=yes", "--link-journal=no"],
      // The address filter of a unit is a BPF program.
      ...["--system-call-filter=bpf", ...(options.ownNetwork ? ["--private-network"] : []), ...binds],
      // From 256 on, systemd runs with the control groups of a machine such as this one only if told to.
      "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1",
    ],
    env: { NOTIFY_SOCKET: `${directory}/notify`, LANG: "C.UTF-8" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const leader: { pid?: number } = {};
  const output = Promise.all([
    nspawn.stdout.pipeTo(console.writable),
    new Response(nspawn.stderr).text(),
  ]);
  parts.defer(() => end(nspawn, leader.pid));

  leader.pid = await untilBooted(notices, nspawn, async () => {
    const [, complaint] = await output;
    return `${complaint}${await Deno.readTextFile(`${directory}/console`)}`;
  }).finally(() => notices.close());
  return new Host(leader.pid, parts.move());
}

export class Host implements AsyncDisposable {
  /** What systemd and the daemon wrote about gilly.service, since the boot. */
  readonly journal: Journal;
  readonly #leader: number;
  readonly #parts: AsyncDisposableStack;

  /** Called by bootHost. `leader` is the process id, on this machine, of the host's systemd. */
  constructor(leader: number, parts: AsyncDisposableStack) {
    this.#leader = leader;
    this.#parts = parts;
    const follow = ["journalctl", "--follow", "--no-tail", "--output=json", "--unit=gilly.service"];
    this.journal = new Journal(this.#command(follow, { stdin: "null", stdout: "piped", stderr: "null" }).spawn());
  }

  /** The command with which this machine runs others in the host; an argument of its own each. */
  get entrance(): readonly string[] {
    return ["nsenter", "-t", String(this.#leader), ...NAMESPACES];
  }

  /** Runs a shell script in the host, as root in its home, and returns how it ended. */
  async run(script: string): Promise<Outcome> {
    return outcomeOf(await this.#command(["sh", "-c", `cd /root\n${script}`], {}).output());
  }

  /** Runs a shell script in the host and returns what it printed; throws when it fails. */
  async sh(script: string): Promise<string> {
    const { code, out, err } = await this.run(script);
    if (code !== 0) throw new Error(`in the host, '${script}' ended with ${code}: ${err || out}`);
    return out;
  }

  /** The path, on this machine, of the host's files. */
  get path(): string {
    return `/proc/${this.#leader}/root`;
  }

  /** Runs a program of this machine among the processes of the host; it finds the host's files at `path`. */
  async outside(program: string, ...args: readonly string[]): Promise<Outcome> {
    return outcomeOf(
      await this.#command([program, ...args], { stdin: "null" }, ["-u", "-i", "-n", "-p", "-C"]).output(),
    );
  }

  /** One property of gilly.service as `systemctl show` prints it. */
  property(name: string): Promise<string> {
    return this.sh(`systemctl show gilly.service --value --property=${name}`);
  }

  /** Returns the journal's last entry once it has been read; what comes after it is new. */
  async lastEntry(): Promise<Entry> {
    const last = await this.sh("journalctl --sync && journalctl --unit=gilly.service --lines=1 --output=json");
    return await this.journal.waitForCursor(JSON.parse(last).__CURSOR);
  }

  /** Puts a file into the host and makes missing folders. */
  async put(path: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
    const script = `mkdir -p "$(dirname '${path}')" && cat >'${path}' && chmod ${mode.toString(8)} '${path}'`;
    const child = this.#command(["sh", "-c", script], { stdin: "piped", stdout: "null", stderr: "piped" }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(typeof content === "string" ? new TextEncoder().encode(content) : content);
    await writer.close();
    const { code, stderr } = await child.output();
    if (code !== 0) throw new Error(`cannot put ${path}: ${new TextDecoder().decode(stderr)}`);
  }

  /** Ends the host; nothing of it is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
    await this.journal.ended;
  }

  #command(
    command: readonly string[],
    options: Deno.CommandOptions,
    namespaces: readonly string[] = NAMESPACES,
  ): Deno.Command {
    return new Deno.Command("nsenter", {
      ...options,
      args: ["-t", String(this.#leader), ...namespaces, ...command],
      clearEnv: true,
      env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LANG: "C.UTF-8" },
    });
  }
}

// systemd-nspawn says which process is the host's systemd, and later, on its behalf, that it is up.
async function untilBooted(
  notices: Deno.DatagramConn,
  nspawn: Deno.ChildProcess,
  complaint: () => Promise<string>,
): Promise<number> {
  const booted = (async () => {
    let leader = 0;
    for await (const [bytes] of notices) {
      const notice = new TextDecoder().decode(bytes);
      leader = Number(/^X_NSPAWN_LEADER_PID=(\d+)$/m.exec(notice)?.[1] ?? leader);
      if (/^READY=1$/m.test(notice)) return leader;
    }
    return 0;
  })();
  const ended = nspawn.status.then(async ({ code }) => {
    throw new Error(`the host did not boot, systemd-nspawn ended with ${code}: ${await complaint()}`);
  });
  ended.catch(() => {});
  const up = Promise.race([booted, ended]);
  if (await endsWithin(PATIENCE_MS, up)) return await up;
  throw new Error(`the host was not up within ${PATIENCE_MS / 1000} s`);
}

// Killing the host's first process ends all others, and systemd-nspawn then cleans up. An orderly
// shutdown would wait for the commands started from here.
async function end(nspawn: Deno.ChildProcess, leader: number | undefined): Promise<void> {
  try {
    if (leader === undefined) nspawn.kill("SIGTERM");
    else Deno.kill(leader, "SIGKILL");
  } catch {
    // It has already ended.
  }
  await nspawn.status;
}
