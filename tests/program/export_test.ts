// Tests that exported files are placed as they would be below /, also by `gilly export`.

import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { ExportWriteError, findAuthorities, writeFiles } from "../../lib/export/write.ts";
import { filesUnder, inTemporaryFolder } from "../support/folder.ts";
import { permissions, runProgram } from "../support/program.ts";

Deno.test("files are placed below a folder, left alone if identical, and refused if different", async () => {
  await inTemporaryFolder(async (folder) => {
    const files = [{ path: "/etc/a/b", content: "1\n" }, { path: "/etc/c", content: "2\n" }];
    const place = (content: string, force = false) =>
      writeFiles([{ ...files[0]!, content }, files[1]!], `${folder}/`, { force });
    assertEquals((await place("1\n")).map(({ state }) => state), ["written", "written"]);
    assertEquals((await place("1\n")).map(({ state }) => state), ["unchanged", "unchanged"]);
    await Deno.remove(`${folder}/etc/c`);
    await assertRejects(
      () => place("3\n"),
      ExportWriteError,
      `refused to overwrite ${folder}/etc/a/b: the contents differ`,
    );
    assertEquals(await filesUnder(folder), [["/etc/a/b", "1\n"]], "a refused export wrote something");
    assertEquals((await place("3\n", true)).map(({ state }) => state), ["overwritten", "written"]);
    assertEquals((await filesUnder(folder)).sort(), [["/etc/a/b", "3\n"], ["/etc/c", "2\n"]]);
  });
});

Deno.test("CA files are found in the first folder that has any", async () => {
  await inTemporaryFolder(async (folder) => {
    await Deno.mkdir(`${folder}/1/m.example:5000`, { recursive: true });
    await Deno.mkdir(`${folder}/2/m.example:5000`, { recursive: true });
    await Deno.mkdir(`${folder}/2/n.example`, { recursive: true });
    const names = [
      "1/m.example:5000/b.crt",
      "1/m.example:5000/a.crt",
      "1/m.example:5000/a.key",
      "2/m.example:5000/c.crt",
    ];
    for (const name of [...names, "2/n.example/ca.crt"]) await Deno.writeTextFile(`${folder}/${name}`, "");
    const hosts = ["m.example:5000", "n.example", "o.example"];
    assertEquals(await findAuthorities(hosts, [`${folder}/1`, `${folder}/2`]), {
      "m.example:5000": [`${folder}/1/m.example:5000/a.crt`, `${folder}/1/m.example:5000/b.crt`],
      "n.example": [`${folder}/2/n.example/ca.crt`],
    });
  });
});

const CONFIG = `kubelet: {url: "http://127.0.0.1:10255"}
registries:
  gcr.io: mirror.example
  "*.pkg.dev": mirror.example/pkg
`;

async function withConfig(use: (config: string, folder: string) => Promise<void>, text = CONFIG): Promise<void> {
  await inTemporaryFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/config.yaml`, text);
    await use(`${folder}/config.yaml`, folder);
  });
}

Deno.test("export prints files on standard output, and what it leaves out on standard error", async () => {
  await withConfig(async (config) => {
    const { code, stdout, stderr } = await runProgram(["export", "containerd", "--config", config]);
    assertEquals([code, stdout.split("\n")[0]], [0, "# /etc/containerd/certs.d/gcr.io/hosts.toml"]);
    assertStringIncludes(stdout, '\n[host."https://mirror.example"]\n');
    assertStringIncludes(stderr, "gilly: warning: *.pkg.dev (line 4) is left out: hosts.toml supports no wildcard");
    assertStringIncludes(stderr, 'gilly: then: containerd reads these files if its config.toml says config_path = "');
  });
});

Deno.test("export --json has files, gaps and notes, and standard error is empty", async () => {
  await withConfig(async (config, folder) => {
    const flags = ["--json", "--output", `${folder}/fix`, "--config", config];
    const { code, stdout, stderr } = await runProgram(["export", "docker", ...flags]);
    assertEquals([code, stderr], [0, ""]);
    const { format, files, leftOut, notes, next, placed } = JSON.parse(stdout);
    assertEquals([format, files.length, notes], ["docker", 1, []]);
    assertEquals([leftOut[0].origin, leftOut[0].line, next.length], ["*.pkg.dev", 4, 2]);
    const path = `${folder}/fix/etc/docker/certs.d/gcr.io/hosts.toml`;
    assertEquals(placed, [{ path, state: "written" }]);
    assertEquals(await Deno.readTextFile(path), files[0].content);
  });
});

Deno.test("export --output refuses to overwrite a different file without --force", async () => {
  await withConfig(async (config, folder) => {
    const argv = ["export", "k3s", "--output", folder, "--config", config];
    const path = `${folder}/etc/rancher/k3s/registries.yaml`;
    assertEquals((await runProgram(argv)).stdout, `written      ${path}\n`);
    assertEquals((await runProgram(argv)).stdout, `unchanged    ${path}\n`);
    await Deno.writeTextFile(path, "mine\n");
    const refused = await runProgram(argv);
    assertEquals([refused.code, refused.stdout, await Deno.readTextFile(path)], [1, "", "mine\n"]);
    assertEquals(
      refused.stderr,
      `gilly: refused to overwrite ${path}: the contents differ; --force overwrites them\n`,
    );
    assertEquals((await runProgram([...argv, "--force"])).stdout, `overwritten  ${path}\n`);
  });
});

Deno.test("export cannot write to /etc itself, and names the alternative", async () => {
  assertEquals(permissions().some((flag) => /^--deny-write=.*\/etc/.test(flag)), true);
  await withConfig(async (config) => {
    const { code, stderr } = await runProgram(["export", "k3s", "--output", "/", "--config", config]);
    assertEquals(code, 1);
    assertStringIncludes(
      stderr,
      "Gilly itself does not write to /etc/rancher/k3s/registries.yaml: give --output another",
    );
  });
});

Deno.test("export fails if no rule can be expressed", async () => {
  const text = CONFIG.replace("  gcr.io: mirror.example\n", "");
  await withConfig(async (config) => {
    const { code, stdout, stderr } = await runProgram(["export", "k3s", "--config", config]);
    assertEquals([code, stdout], [1, ""]);
    assertStringIncludes(stderr, "gilly: warning: *.pkg.dev (line 3) is left out: ");
    assertStringIncludes(stderr, `gilly: no rule of ${config} can be expressed for k3s\n`);
  }, text);
});

const MISTAKES: readonly (readonly [readonly string[], string])[] = [
  [[], "gilly export requires a FORMAT: containerd, docker, registries.conf, k3s; see gilly export --help"],
  [["containred"], 'unknown format "containred", did you mean containerd? expected one of containerd, docker, '],
  [["toString"], 'unknown format "toString"; expected one of containerd, docker, registries.conf, k3s'],
  [["k3s", "docker"], 'gilly export: unexpected argument "docker"'],
  [["k3s", "--via-proxy"], "--via-proxy is for containerd and docker, got k3s"],
  [["k3s", "--force"], "--force requires --output DIR"],
];

for (const [words, message] of MISTAKES) {
  Deno.test(`gilly export ${words.join(" ")}: a mistake on the command line is named`, async () => {
    const { code, stdout, stderr } = await runProgram(["export", ...words]);
    assertEquals([code, stdout], [2, ""]);
    assertStringIncludes(stderr, `gilly: ${message}`);
  });
}
