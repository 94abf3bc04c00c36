// The CPU time and memory of a process, from /proc. Linux only.

/** Memory of a process, in bytes. */
export interface Memory {
  /** Resident set size, including pages of the program's own file. */
  readonly rss: number;
  /** The part not backed by a file: heap, stacks, buffers. The kernel cannot drop and reread it. */
  readonly anonymous: number;
  /** The largest resident set size so far. */
  readonly peak: number;
}

/** Returns the current memory of a process. */
export async function memoryOf(pid: number): Promise<Memory> {
  const rollup = fieldsOf(await Deno.readTextFile(`/proc/${pid}/smaps_rollup`));
  const status = fieldsOf(await Deno.readTextFile(`/proc/${pid}/status`));
  return { rss: rollup("Rss"), anonymous: rollup("Anonymous"), peak: status("VmHWM") };
}

/** Returns the CPU seconds of all threads since the process began. */
export async function cpuSecondsOf(pid: number): Promise<number> {
  let nanoseconds = 0;
  // The sum in /proc/PID/stat counts in steps of 10 ms, each thread's schedstat in nanoseconds.
  for await (const { name } of Deno.readDir(`/proc/${pid}/task`)) {
    const account = await Deno.readTextFile(`/proc/${pid}/task/${name}/schedstat`).catch(() => "0");
    nanoseconds += Number(account.split(" ")[0]);
  }
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticks = Number(fields[11]) + Number(fields[12]);
  // A thread that has ended is missing only from the sum of schedstat.
  return Math.max(nanoseconds / 1e9, (ticks - 1) / TICKS_PER_SECOND);
}

/** USER_HZ, which Linux shows to programs as 100 on every common architecture. */
const TICKS_PER_SECOND = 100;

function fieldsOf(text: string): (name: string) => number {
  return (name) => {
    const kilobytes = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1];
    if (kilobytes === undefined) throw new Error(`the kernel does not report ${name}`);
    return 1024 * Number(kilobytes);
  };
}
