// Describes the machine of a measurement, without its name or any of its paths.

import { kubeletBinary } from "../support/requirements.ts";

/** Returns one line: cores, memory, kernel, versions of the programs involved, and the date. */
export async function describeMachine(): Promise<string> {
  const memory = /^MemTotal:\s+(\d+) kB/m.exec(await Deno.readTextFile("/proc/meminfo"))?.[1];
  const kernel = (await Deno.readTextFile("/proc/sys/kernel/osrelease")).trim().replace(/[^0-9.].*$/, "");
  const docker = /version (\S+?),/.exec(await outputOf("dockerd", "--version"))?.[1];
  const containerd = /containerd\S* v?(\d\S*)/.exec(await outputOf("containerd", "--version"))?.[1];
  const kubelet = kubeletBinary();
  const kubeletVersion = kubelet === undefined
    ? undefined
    : /v([\d.]+)/.exec(await outputOf(kubelet, "--version"))?.[1];
  return [
    `${navigator.hardwareConcurrency} cores`,
    `${Math.round(Number(memory) / 1024 / 1024)} GB`,
    `Linux ${kernel} on ${Deno.build.arch}`,
    `Deno ${Deno.version.deno}`,
    ...(docker === undefined ? [] : [`Docker Engine ${docker}`]),
    ...(containerd === undefined ? [] : [`containerd ${containerd}`]),
    ...(kubeletVersion === undefined ? [] : [`kubelet ${kubeletVersion}`]),
    new Date().toISOString().slice(0, 10),
  ].join(", ");
}

/** Returns the load average of the last minute. */
export function load(): number {
  return Deno.loadavg()[0]!;
}

async function outputOf(program: string, ...args: string[]): Promise<string> {
  try {
    const env = { PATH: `${Deno.env.get("PATH")}:/usr/sbin:/sbin` };
    const { stdout } = await new Deno.Command(program, { args, env, stderr: "null" }).output();
    return new TextDecoder().decode(stdout);
  } catch {
    return "";
  }
}
