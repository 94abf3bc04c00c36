// The formats to which rules can be exported, by their names on the command line. Pure.

import { exportContainerd, exportDocker } from "./hosts_toml.ts";
import { exportK3s } from "./k3s.ts";
import type { Exported, ExportInput } from "./model.ts";
import { exportRegistriesConf } from "./registries_conf.ts";

/** The name of a format. */
export type Format = "containerd" | "docker" | "registries.conf" | "k3s";

/** Every format, in the order of the help. */
export const FORMATS: Readonly<Record<Format, (input: ExportInput) => Exported>> = {
  containerd: exportContainerd,
  docker: exportDocker,
  "registries.conf": exportRegistriesConf,
  k3s: exportK3s,
};

/** Whether this is the name of a format. */
export function isFormat(name: string): name is Format {
  return Object.hasOwn(FORMATS, name);
}
