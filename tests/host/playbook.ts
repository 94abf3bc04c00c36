// contrib/ansible as an administrator runs it: ansible-playbook on this machine, a booted host by ssh.

import { stringify } from "@std/yaml";
import { PROJECT } from "../../tools/deno.ts";
import { mustRun, run } from "../support/builds.ts";
import type { Outcome } from "../support/outcome.ts";
import { notOnPath } from "../support/programs.ts";
import type { Host } from "./host.ts";

/** What this machine lacks as a controller. */
export function missingForPlaybook(): string[] {
  return notOnPath(["ansible-playbook", "ssh", "ssh-keygen"]);
}

/** How a run ended, with the task results and the recap of its one host. */
export interface Played extends Outcome {
  /** The results other than ok and skipped, such as `changed: Write the config`. */
  readonly changes: readonly string[];
  /** The counts of the recap: ok, changed, failed… */
  readonly recap: Readonly<Record<string, number>>;
}

const OPTIONS = ["PermitRootLogin=yes", "AuthorizedKeysFile=/root/controller.pub", "UsePAM=no", "LogLevel=ERROR"];

/** A folder of the controller: a copy of contrib/ansible, a key, and an inventory with one host. */
export class Controller implements AsyncDisposable {
  readonly #host: Host;
  readonly #folder: string;

  private constructor(host: Host, folder: string) {
    this.#host = host;
    this.#folder = folder;
  }

  /** Gives root of the host a key that only this controller has. */
  static async of(host: Host): Promise<Controller> {
    const folder = await Deno.makeTempDir({ prefix: "gilly-ansible-" });
    await mustRun("cp", ["--recursive", `${PROJECT}contrib/ansible/.`, folder]);
    await mustRun("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", `${folder}/key`]);
    await host.sh("mkdir -p /run/sshd");
    await host.put("/root/controller.pub", await Deno.readFile(`${folder}/key.pub`), 0o600);
    return new Controller(host, folder);
  }

  /** Runs site.yml on the host with these variables. */
  async play(variables: Readonly<Record<string, unknown>>, flags: readonly string[] = []): Promise<Played> {
    // sshd without a port: it speaks through the pipe that ssh opens with its proxy command.
    const server = [...this.#host.entrance, "/usr/sbin/sshd", "-i", ...OPTIONS.map((option) => `-o${option}`)];
    const worker = {
      ansible_user: "root",
      ansible_ssh_private_key_file: `${this.#folder}/key`,
      ansible_ssh_common_args: `-o ProxyCommand='${server.join(" ")}' -o UserKnownHostsFile=/dev/null`,
    };
    const inventory = { workers: { hosts: { worker }, vars: variables } };
    await Deno.writeTextFile(`${this.#folder}/inventory.yml`, stringify(inventory));
    const { code, out, err } = await run("ansible-playbook", ["--inventory", "inventory.yml", ...flags, "site.yml"], {
      cwd: this.#folder,
      env: {
        ANSIBLE_HOME: `${this.#folder}/home`,
        ANSIBLE_HOST_KEY_CHECKING: "False",
        ANSIBLE_PIPELINING: "True",
        ANSIBLE_NOCOLOR: "1",
        LC_ALL: "C.UTF-8",
      },
    });
    return { code, out, err, changes: changesIn(out), recap: recapIn(out) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#folder, { recursive: true });
  }
}

function changesIn(out: string): string[] {
  const blocks = out.split(/^(?=(?:TASK|RUNNING HANDLER) \[)/m).slice(1);
  return blocks.flatMap((block) => {
    const task = /\[(?:gilly : )?(.*?)\] \*+$/m.exec(block)?.[1];
    const results = [...block.matchAll(/^(changed|fatal|failed): \[/gm)].map(([, result]) => result);
    return [...new Set(results)].map((result) => `${result}: ${task}`);
  });
}

function recapIn(out: string): Record<string, number> {
  const counts = /^worker +: (.*)$/m.exec(out)?.[1] ?? "";
  return Object.fromEntries([...counts.matchAll(/(\w+)=(\d+)/g)].map(([, name, count]) => [name, Number(count)]));
}
