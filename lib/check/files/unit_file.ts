// Parses a systemd unit and its drop-ins for credentials: which file is loaded under which name
// (systemd.syntax(7), systemd.exec(5)). Pure: the texts are read elsewhere.

/** A file below /run/credentials, as a config names it. */
export interface LentFile {
  /** The service for which it is loaded, such as `gilly.service`. */
  readonly unit: string;
  /** Path of the file that it is a copy of; undefined if no such file is known. */
  readonly source: string | undefined;
  /**
   * Where its contents can be read: the copy if it is readable, else the source. If the next start
   * of the service is checked, the source if it is known. Undefined if neither is readable.
   */
  readonly at: string | undefined;
  /** Why the contents cannot be read, as one sentence; defined exactly when `at` is not. */
  readonly problem: string | undefined;
  /** Whether the unit does not provide it, so that the service could not read it either. */
  readonly unknown: boolean;
  /** Whether the service runs with a copy of it now. */
  readonly inUse: boolean;
  /**
   * How the source differs from the copy in use: it has other contents (`replaced`) or does not
   * exist (`gone`).
   */
  readonly drift: "replaced" | "gone" | undefined;
  /** Whether the service restarts automatically when the source is replaced. */
  readonly watched: boolean;
}

/** Whether a unit is installed or masked in systemd. */
export type Installed = "installed" | "masked" | "absent";

/**
 * Returns the values of a setting in a section, from a unit file and its drop-ins in the order in
 * which systemd reads them. An empty value resets the list.
 */
export function valuesOf(texts: readonly string[], section: string, setting: string): string[] {
  const values: string[] = [];
  for (const text of texts) {
    let here = "";
    for (const line of linesOf(text)) {
      const header = /^\[(.*)\]$/.exec(line)?.[1];
      if (header !== undefined) here = header;
      const [, name, value = ""] = /^([^=]*?)\s*=\s*(.*)$/.exec(line) ?? [];
      if (here !== section || name !== setting) continue;
      if (value === "") values.length = 0;
      else values.push(value);
    }
  }
  return values;
}

/** The source of a credential: a file, or something other than a known plain file. */
export type Origin = { readonly file: string } | { readonly hidden: true };

/**
 * Returns the source of a credential in these unit texts, or undefined if they do not provide it.
 */
export function originOf(name: string, texts: readonly string[]): Origin | undefined {
  const [exact] = valuesOf(texts, "Service", "LoadCredential").toReversed().flatMap((value) => {
    const [id, path] = split(value);
    if (id === name) return [path];
    // A folder provides each of its files as ID_FILE.
    return name.startsWith(`${id}_`) && path !== undefined ? [`${path}/${name.slice(id.length + 1)}`] : [];
  });
  if (exact !== undefined) {
    const path = exact.replaceAll("%%", "\0");
    // Hidden: other specifiers, and names that systemd looks up in its own stores.
    return path.startsWith("/") && !path.includes("%") ? { file: path.replaceAll("\0", "%") } : { hidden: true };
  }
  const others = ["LoadCredential", "LoadCredentialEncrypted", "SetCredential", "SetCredentialEncrypted"];
  const lent = others.flatMap((setting) => valuesOf(texts, "Service", setting)).some((value) =>
    split(value)[0] === name
  );
  return lent || valuesOf(texts, "Service", "ImportCredential").length > 0 ? { hidden: true } : undefined;
}

/** Returns the files and folders that a path unit with these texts watches. */
export function watchedBy(texts: readonly string[]): string[] {
  return ["PathChanged", "PathModified"].flatMap((setting) => valuesOf(texts, "Path", setting));
}

function split(value: string): [id: string, path: string | undefined] {
  const colon = value.indexOf(":");
  return colon < 0 ? [value, undefined] : [value.slice(0, colon), value.slice(colon + 1)];
}

/** Returns the lines without comments; a line that ends in a backslash continues on the next. */
function linesOf(text: string): string[] {
  const lines: string[] = [];
  let open = "";
  for (const line of text.split("\n").map((line) => line.trim())) {
    if (/^[#;]/.test(line)) continue;
    if (line.endsWith("\\")) open += `${line.slice(0, -1)} `;
    else {
      lines.push((open + line).trim());
      open = "";
    }
  }
  return open === "" ? lines : [...lines, open.trim()];
}
