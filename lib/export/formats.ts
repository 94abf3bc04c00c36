// The formats that rules can be exported to, by the names that the command line knows them by. Pure.

import { exportContainerd, exportDocker } from "./hosts_toml.ts";
import { exportK3s } from "./k3s.ts";
import type { Exported, ExportInput } from "./model.ts";
import { exportRegistriesConf } from "./registries_conf.ts";

/** A name of a format. */
export type Format = "containerd" | "docker" | "registries.conf" | "k3s";

/** Every format, in the order of the help. */
export const FORMATS: Readonly<Record<Format, (input: ExportInput) => Exported>> = {
  containerd: exportContainerd,
  docker: exportDocker,
  "registries.conf": exportRegistriesConf,
  k3s: exportK3s,
};

/** Whether that is the name of a format. */
export function isFormat(name: string): name is Format {
  return Object.hasOwn(FORMATS, name);
}
