// What a process costs, as the kernel counts it: processor time and memory, from /proc. Linux only.

/** Memory of a process, in bytes. */
export interface Memory {
  /** Resident set: what it holds of the machine's memory, the pages of its own file included. */
  readonly rss: number;
  /** The part of it that is nobody's copy: heap, stacks, buffers. Only this cannot be dropped and read again. */
  readonly anonymous: number;
  /** The largest resident set it ever had. */
  readonly peak: number;
}

/** Memory of the process with that id, now. */
export async function memoryOf(pid: number): Promise<Memory> {
  const rollup = fieldsOf(await Deno.readTextFile(`/proc/${pid}/smaps_rollup`));
  const status = fieldsOf(await Deno.readTextFile(`/proc/${pid}/status`));
  return { rss: rollup("Rss"), anonymous: rollup("Anonymous"), peak: status("VmHWM") };
}

/** Seconds of processor time of all threads since the process began. */
export async function cpuSecondsOf(pid: number): Promise<number> {
  let nanoseconds = 0;
  // The sum in /proc/PID/stat moves in steps of 10 ms, each thread's own account in nanoseconds.
  for await (const { name } of Deno.readDir(`/proc/${pid}/task`)) {
    const account = await Deno.readTextFile(`/proc/${pid}/task/${name}/schedstat`).catch(() => "0");
    nanoseconds += Number(account.split(" ")[0]);
  }
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticks = Number(fields[11]) + Number(fields[12]);
  // A thread that has ended is missing from the first sum alone.
  return Math.max(nanoseconds / 1e9, (ticks - 1) / TICKS_PER_SECOND);
}

/** USER_HZ, which Linux shows to programs as 100 on every common architecture. */
const TICKS_PER_SECOND = 100;

function fieldsOf(text: string): (name: string) => number {
  return (name) => {
    const kilobytes = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1];
    if (kilobytes === undefined) throw new Error(`the kernel does not tell ${name}`);
    return 1024 * Number(kilobytes);
  };
}
