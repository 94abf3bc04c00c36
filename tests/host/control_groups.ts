// A separate control group for each host. Otherwise two hosts would share the groups of their
// units, and what a host's systemd leaves behind would stay in ours.

/**
 * Makes a group in each hierarchy that systemd writes to, its own and the unified. Returns the
 * paths.
 */
export async function makeControlGroups(name: string): Promise<string[]> {
  const groups: string[] = [];
  for (const line of (await Deno.readTextFile("/proc/self/cgroup")).trimEnd().split("\n")) {
    const [, hierarchy, own = ""] = /^\d+:(|name=systemd):(.*)$/.exec(line) ?? [];
    if (hierarchy === undefined) continue;
    const group = `${hierarchy === "" ? unifiedMount() : "/sys/fs/cgroup/systemd"}${own.replace(/\/$/, "")}/${name}`;
    await Deno.mkdir(group);
    groups.push(group);
  }
  return groups;
}

/** Removes the groups and their subgroups, which must hold no processes. */
export async function removeControlGroups(groups: readonly string[]): Promise<void> {
  for (const group of groups) await removeGroup(group);
}

async function removeGroup(group: string): Promise<void> {
  for await (const { name, isDirectory } of Deno.readDir(group)) {
    if (isDirectory) await removeGroup(`${group}/${name}`);
  }
  await Deno.remove(group);
}

function unifiedMount(): string {
  try {
    Deno.statSync("/sys/fs/cgroup/cgroup.procs");
    return "/sys/fs/cgroup";
  } catch {
    return "/sys/fs/cgroup/unified";
  }
}
