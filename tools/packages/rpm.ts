// The package for Fedora, RHEL, SUSE and their relatives, by rpmbuild.

import { ARCHITECTURES } from "../architectures.ts";
import { buildEpoch } from "../deno.ts";
import {
  build,
  DOCS,
  fill,
  FOLDER_MODES,
  MAINTAINER,
  type PackageOptions,
  scriptletOf,
  sortable,
  templateOf,
  Tree,
} from "./tree.ts";

/** Builds the package and returns its path. Throws Error if rpmbuild fails. */
export async function makeRpm(options: PackageOptions): Promise<string> {
  const version = sortable(options.version);
  const architecture = ARCHITECTURES[options.architecture].rpm;
  const name = `gilly-${version}-1.${architecture}.rpm`;
  const path = `${options.directory}/${name}`;
  const folder = await Deno.makeTempDir({ prefix: "gilly-rpm-" });
  try {
    const tree = new Tree(`${folder}/tree`);
    await fill(tree, options, { zsh: "/usr/share/zsh/site-functions" });
    await tree.copy("LICENSE", "/usr/share/licenses/gilly/LICENSE");
    await tree.copy("CHANGELOG.md", `${DOCS}/CHANGELOG.md`);
    await tree.put("/usr/lib/systemd/system-preset/80-gilly.preset", await templateOf("gilly.preset"));
    await tree.finish(FOLDER_MODES);
    const SYSUSERS = (await templateOf("gilly.sysusers")).trimEnd();
    for (const scriptlet of ["pre", "post", "preun", "postun"]) {
      await Deno.writeTextFile(`${folder}/${scriptlet}`, await scriptletOf(`rpm.${scriptlet}`, { SYSUSERS }));
    }
    const values = { VERSION: version, MAINTAINER, DATE: dateOfBuild() };
    await Deno.writeTextFile(`${folder}/gilly.spec`, await templateOf("gilly.spec", values));
    const macros = Object.entries(macrosOf(options, folder)).flatMap(([name, value]) => ["-D", `${name} ${value}`]);
    await build("rpmbuild", ["-bb", "--quiet", `--target=${architecture}-linux`, ...macros, "gilly.spec"], folder);
    await Deno.copyFile(`${folder}/made/${name}`, path);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  return path;
}

/** Settings of rpmbuild that do not depend on the machine, its distribution, or the day. */
function macrosOf({ quick }: PackageOptions, folder: string): Readonly<Record<string, string>> {
  return {
    _topdir: `${folder}/work`,
    _dbpath: `${folder}/db`,
    _rpmdir: `${folder}/made`,
    _build_name_fmt: "%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm",
    _buildhost: "gilly",
    use_source_date_epoch_as_buildtime: "1",
    clamp_mtime_to_source_date_epoch: "1",
    build_mtime_policy: "clamp_to_source_date_epoch",
    source_date_epoch_from_changelog: "0",
    _binary_payload: quick ? "w1.zstdio" : "w12.zstdio",
    // The program is appended to its runtime: it must stay as it is, to the byte.
    __os_install_post: "%{nil}",
    debug_package: "%{nil}",
    _build_id_links: "none",
    tree: `${folder}/tree`,
    scriptlets: folder,
  };
}

/** The time of the build as rpm's changelog has it: `Wed Jan 01 2020`. */
function dateOfBuild(): string {
  const [weekday, day, month, year] = new Date(buildEpoch() * 1000).toUTCString().split(/,? /);
  return `${weekday} ${month} ${day} ${year}`;
}
