// The paths that the docs, the scripts and the unit name on a worker are those that install.sh
// uses.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Bench, has } from "../support/install_bench.ts";
import { PAGES, readPage } from "../support/pages.ts";

const TEXTS = [
  ...PAGES,
  "docs/gilly.8",
  "systemd/gilly-credentials",
  "systemd/config.example.yaml",
  "systemd/gilly.service",
];

const missing = [...(Deno.uid() === 0 ? [] : ["root"]), ...(has("systemd-sysusers") ? [] : ["systemd-sysusers"])];
if (missing.length > 0) console.log(`tests of the layout skipped: missing ${missing.join(", ")}`);

Deno.test({
  name: "install.sh installs every file below /usr/local that a text or gilly-credentials names",
  ignore: missing.length > 0,
  async fn() {
    await using bench = new Bench();
    await bench.install();
    const installed = (await bench.paths()).map((path) => `/${path}`);
    const named = TEXTS.flatMap((text) =>
      [...readPage(text).matchAll(/(?<![\w}])\/usr\/local\/[\w./-]*\w/g)].map(([path]) => ({ text, path }))
    );
    assert(named.length >= 3, "the search finds the paths");
    const strange = named.filter(({ path }) => !installed.some((file) => file === path || file.startsWith(`${path}/`)));
    assertEquals(strange, []);
    const script = `${bench.root}/usr/local/bin/gilly-credentials`;
    const page = `${bench.root}/usr/local/share/gilly/credentials.md`;
    const said = async (...args: string[]) => {
      const { stdout, stderr } = await new Deno.Command("sh", { args: [script, ...args] }).output();
      return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    };
    assertStringIncludes(await said("--help"), `The roles for the certificate's user: ${page}\n`);
    const tooLong = ["request", "--node", "a".repeat(60), "--root", bench.root];
    assertStringIncludes(await said(...tooLong), `use a token, ${page}`);
  },
});
