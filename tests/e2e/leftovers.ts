// What a test's programs leave behind under the test's folder: processes, mounts, files. All of it
// is found by that folder's path, so nothing else is touched.

import { delay } from "@std/async/delay";

/** Ends every process that has `dir` on its command line, and its children, then unmounts and removes `dir`. */
export async function removeEverythingUnder(dir: string): Promise<void> {
  await endProcessesOf(dir);
  await unmountUnder(dir);
  await Deno.remove(dir, { recursive: true });
}

// A container's process does not name our folder, but its parent, the shim, names our containerd's
// socket.
async function endProcessesOf(dir: string): Promise<void> {
  for (let found = await processesUnder(dir); found.length > 0; found = await processesUnder(dir)) {
    for (const pid of found) {
      try {
        Deno.kill(pid, "SIGKILL");
      } catch {
        // It has already ended.
      }
    }
    await Promise.all(found.map(untilGone));
  }
}

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly commandLine: string;
}

/** The ids of the processes that have `dir` on their command line, and of their children. */
export async function processesUnder(dir: string): Promise<number[]> {
  const all = await listProcesses();
  const ours = new Set(all.filter(({ commandLine }) => commandLine.includes(`${dir}/`)).map(({ pid }) => pid));
  const children = all.filter(({ parent }) => ours.has(parent)).map(({ pid }) => pid);
  return [...new Set([...ours, ...children])].filter((pid) => pid !== Deno.pid);
}

async function listProcesses(): Promise<Process[]> {
  const found: Process[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = await Deno.readTextFile(`/proc/${name}/stat`);
      // The second field is the program's name in parentheses and may hold anything; state and parent follow it.
      const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      if (state === "Z") continue;
      found.push({
        pid: Number(name),
        parent: Number(parent),
        commandLine: (await Deno.readTextFile(`/proc/${name}/cmdline`)).replaceAll("\0", " "),
      });
    } catch {
      // It has ended meanwhile.
    }
  }
  return found;
}

async function untilGone(pid: number): Promise<void> {
  for (;;) {
    const stat = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => undefined);
    if (stat === undefined || stat.slice(stat.lastIndexOf(")") + 2).startsWith("Z")) return;
    await delay(20);
  }
}

async function unmountUnder(dir: string): Promise<void> {
  const mounts = (await Deno.readTextFile("/proc/self/mounts")).split("\n").map((line) => line.split(" ")[1] ?? "");
  const ours = mounts.filter((mount) => mount.startsWith(`${dir}/`)).reverse();
  if (ours.length === 0) return;
  const { success, stderr } = await new Deno.Command("umount", { args: ["--lazy", ...ours] }).output();
  if (!success) throw new Error(`cannot unmount what is left under ${dir}: ${new TextDecoder().decode(stderr)}`);
}
