// The package for Debian and its descendants: deb(5), by dpkg-deb.

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
  textOf,
  Tree,
  zipped,
} from "./tree.ts";

/** Builds the package and returns its path. Throws Error if dpkg-deb fails. */
export async function makeDeb(options: PackageOptions): Promise<string> {
  const version = sortable(options.version);
  const architecture = ARCHITECTURES[options.architecture].debian;
  const path = `${options.directory}/gilly_${version}_${architecture}.deb`;
  const folder = await Deno.makeTempDir({ prefix: "gilly-deb-" });
  try {
    const tree = new Tree(`${folder}/tree`);
    await fill(tree, options, { zsh: "/usr/share/zsh/vendor-completions" });
    await documentForDebian(tree, version);
    const files = await tree.finish(FOLDER_MODES);
    await describe(tree, files, { VERSION: version, ARCHITECTURE: architecture, MAINTAINER });
    await tree.finish(FOLDER_MODES);
    const compression = options.quick ? ["-Zgzip", "-z1"] : ["-Zxz"];
    await build("dpkg-deb", [...compression, "--root-owner-group", "--build", "tree", "made.deb"], folder);
    await Deno.copyFile(`${folder}/made.deb`, path);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  return path;
}

// Debian wants its license and its changelog in forms of its own (Policy, 12.5 and 12.7).
async function documentForDebian(tree: Tree, version: string): Promise<void> {
  const [, copyright = "", license = ""] = /^Copyright (.*)\n\n([^]*)$/m.exec(await textOf("LICENSE")) ?? [];
  const LICENSE = license.trimEnd().replaceAll(/^/gm, " ").replaceAll(/^ $/gm, " .");
  await tree.put(
    `${DOCS}/copyright`,
    await templateOf("copyright", { COPYRIGHT: copyright.replace("(c) ", ""), LICENSE }),
  );
  const DATE = new Date(buildEpoch() * 1000).toUTCString().replace("GMT", "+0000");
  await tree.put(
    `${DOCS}/changelog.gz`,
    zipped(await templateOf("changelog", { VERSION: version, MAINTAINER, DATE })),
  );
  await tree.put(`${DOCS}/CHANGELOG.md.gz`, zipped(await textOf("CHANGELOG.md")));
  await tree.put("/usr/share/lintian/overrides/gilly", await templateOf("lintian-overrides"));
}

async function describe(tree: Tree, files: readonly string[], values: Readonly<Record<string, string>>): Promise<void> {
  const paths = files.map((path) => path.slice(1));
  let bytes = 0;
  for (const path of files) bytes += (await Deno.stat(tree.root + path)).size;
  const control = await templateOf("control", { ...values, SIZE: String(Math.ceil(bytes / 1024)) });
  await tree.put("/DEBIAN/control", control);
  await tree.put("/DEBIAN/md5sums", await build("md5sum", paths.filter((path) => !path.startsWith("etc/")), tree.root));
  await tree.put(
    "/DEBIAN/conffiles",
    files.filter((path) => path.startsWith("/etc/")).map((path) => `${path}\n`).join(""),
  );
  for (const name of ["preinst", "postinst", "prerm", "postrm"]) {
    await tree.put(`/DEBIAN/${name}`, await scriptletOf(`deb.${name}`), 0o755);
  }
}
