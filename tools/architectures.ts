// The machine architectures that Gilly is built for, under their names in file names, in Deno's
// targets, in ELF headers and in packages.

/** What an architecture is called elsewhere. */
interface Names {
  /** Deno's target triple. */
  readonly target: string;
  /** `e_machine` in the header of an ELF file (elf(5)). */
  readonly elfMachine: number;
  /** In Debian's packages. */
  readonly debian: string;
  /** In RPM packages; also what `uname -m` prints. */
  readonly rpm: string;
}

/** The architectures of releases. */
export type Architecture = "x64" | "arm64";

export const ARCHITECTURES: Readonly<Record<Architecture, Names>> = {
  x64: { target: "x86_64-unknown-linux-gnu", elfMachine: 62, debian: "amd64", rpm: "x86_64" },
  arm64: { target: "aarch64-unknown-linux-gnu", elfMachine: 183, debian: "arm64", rpm: "aarch64" },
};

/** Their names, for messages and loops. */
export const ARCHITECTURE_NAMES = Object.keys(ARCHITECTURES) as Architecture[];

/** This machine's architecture. */
export const HOST: Architecture = Deno.build.arch === "aarch64" ? "arm64" : "x64";

/**
 * Returns the architecture of a Linux executable; undefined for another file, such as the script
 * that replaces the binary in tests, and for an executable of another architecture. Throws Deno's
 * error if the file cannot be read.
 */
export function architectureOf(path: string): Architecture | undefined {
  using file = Deno.openSync(path);
  const header = new Uint8Array(20);
  if (file.readSync(header) !== header.length) return undefined;
  // \x7fELF, 64 bits, little-endian.
  if (header.slice(0, 6).toHex() !== "7f454c460201") return undefined;
  const machine = new DataView(header.buffer).getUint16(18, true);
  return ARCHITECTURE_NAMES.find((name) => ARCHITECTURES[name].elfMachine === machine);
}
