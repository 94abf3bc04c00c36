// The configuration of the CRI plugin, as far as its status shows it: containerd 1 shows all of it,
// containerd 2 leaves the registries out. Pure.

import { isFields } from "../../support/json.ts";
import { plainText } from "../registry_texts.ts";

/** Undefined is unknown. */
export interface CriConfig {
  /** config_path: folders, with colons between them; empty if there is none. */
  readonly mirrorsFolder: string | undefined;
  readonly snapshotter: string | undefined;
}

/** Reads `info["config"]` of a verbose status. Never throws. */
export function readCriConfig(json: string | undefined): CriConfig {
  const config = parsed(json);
  return {
    mirrorsFolder: textAt(config, "registry", "configPath"),
    snapshotter: textAt(config, "containerd", "snapshotter") || undefined,
  };
}

function parsed(json: string | undefined): unknown {
  try {
    return JSON.parse(json ?? "");
  } catch {
    return undefined;
  }
}

function textAt(config: unknown, section: string, key: string): string | undefined {
  const within = isFields(config) ? config[section] : undefined;
  const value = isFields(within) ? within[key] : undefined;
  return typeof value === "string" ? plainText(value) : undefined;
}
