// What a systemd unit and its drop-ins say, as far as credentials go: which file is lent under which name
// (systemd.syntax(7), systemd.exec(5)). Pure: the texts are read elsewhere.

/** A file below /run/credentials, as a config names it. */
export interface LentFile {
  /** The service that it is lent to, such as `gilly.service`. */
  readonly unit: string;
  /** Path of the file that it is a copy of; undefined when no file is known to be. */
  readonly source: string | undefined;
  /** Where its contents can be read now: the copy while the service runs, else the source. */
  readonly at: string | undefined;
  /** Why they cannot, as one sentence; there exactly when `at` is not. */
  readonly problem: string | undefined;
  /** That nothing lends it, so that the service could not read it either. */
  readonly unknown: boolean;
  /** Whether the service runs with a copy of it now. */
  readonly inUse: boolean;
  /** What is wrong with the source while the copy is in use: it holds something else now, or it is not there. */
  readonly drift: "replaced" | "gone" | undefined;
  /** Whether the service is restarted by itself when the source is replaced. */
  readonly watched: boolean;
}

/** How a service stands among systemd's units. */
export type Installed = "installed" | "masked" | "absent";

/**
 * The values of a setting of a section, over a unit file and its drop-ins in the order in which systemd reads them. An
 * empty value takes back those before it.
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

/** Where a credential comes from: a file to be read, or some way in which no file holds it in clear. */
export type Origin = { readonly file: string } | { readonly hidden: true };

/** Where the unit of these texts has the credential of that name from; undefined when it has none. */
export function originOf(name: string, texts: readonly string[]): Origin | undefined {
  const [exact] = valuesOf(texts, "Service", "LoadCredential").toReversed().flatMap((value) => {
    const [id, path] = split(value);
    if (id === name) return [path];
    // A folder lends each of its files, as ID_FILE.
    return name.startsWith(`${id}_`) && path !== undefined ? [`${path}/${name.slice(id.length + 1)}`] : [];
  });
  if (exact !== undefined) {
    const path = exact.replaceAll("%%", "\0");
    // Other specifiers, and names that systemd looks for in its own stores.
    return path.startsWith("/") && !path.includes("%") ? { file: path.replaceAll("\0", "%") } : { hidden: true };
  }
  const others = ["LoadCredential", "LoadCredentialEncrypted", "SetCredential", "SetCredentialEncrypted"];
  const lent = others.flatMap((setting) => valuesOf(texts, "Service", setting)).some((value) =>
    split(value)[0] === name
  );
  return lent || valuesOf(texts, "Service", "ImportCredential").length > 0 ? { hidden: true } : undefined;
}

/** The files and folders at which a path unit of these texts looks. */
export function watchedBy(texts: readonly string[]): string[] {
  return ["PathChanged", "PathModified"].flatMap((setting) => valuesOf(texts, "Path", setting));
}

function split(value: string): [id: string, path: string | undefined] {
  const colon = value.indexOf(":");
  return colon < 0 ? [value, undefined] : [value.slice(0, colon), value.slice(colon + 1)];
}

/** Lines without comments; one that ends in a backslash goes on in the next. */
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
