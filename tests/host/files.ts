// The files of a host, as lines that can be compared before and after.

import type { Host } from "./host.ts";

/** The lines that only one of the two lists has. */
export function changes(before: readonly string[], after: readonly string[]): string[] {
  const [old, now] = [new Set(before), new Set(after)];
  return [
    ...before.filter((line) => !now.has(line)).map((line) => `- ${line}`),
    ...after.filter((line) => !old.has(line)).map((line) => `+ ${line}`),
  ];
}

/**
 * The files that an installation could change, without those that any use of a host changes. `more`
 * adds fields in the format of find -printf.
 */
export async function filesOf(host: Host, more = ""): Promise<string[]> {
  const places = "/etc /usr /opt /var/lib /run/systemd/system";
  const noise = ["/etc/.pwd.lock", "/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-"];
  const others = ["/opt/docker/*", "/var/lib/gilly/*", "/var/lib/systemd/*"];
  const left = [...noise, ...others].map((path) => `-not -path '${path}'`).join(" ");
  return (await host.sh(`find ${places} ${left} -printf '%p %y %m %U:%G ${more} %l\\n' 2>/dev/null | sort`)).split(
    "\n",
  );
}
