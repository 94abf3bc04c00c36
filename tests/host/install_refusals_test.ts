// What install.sh refuses: each in one line, before anything is changed.

import { assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { elf } from "../support/builds.ts";
import { test } from "../support/install_bench.ts";

const REFUSALS: readonly (readonly [string, string[], RegExp])[] = [
  ["an unknown flag", ["--mirrors", "x"], /unknown argument '--mirrors': see install.sh --help/],
  ["a flag without its value", ["--mirror"], /--mirror needs a value/],
  ["a mirror without a registry", ["--mirror", "mirror.example"], /REGISTRY=MIRROR, such as .* got 'mirror.example'/],
  ["a mirror that would break the YAML", ["--mirror", 'gcr.io=a"b'], /got 'gcr.io=a"b'/],
  ["a mirror with a second line", ["--mirror", "gcr.io=a\nb"], /--mirror expects/],
  ["one registry twice", ["--mirror", "gcr.io=a.b", "--mirror", "gcr.io=c.d"], /names gcr.io twice/],
  ["a URL without a port", ["--kubelet-url", "https://worker"], /expects https:\/\/HOST:PORT/],
  ["a URL with a password", ["--kubelet-url", "https://me:secret@worker:1"], /expects https:\/\/HOST:PORT/],
  ["a certificate without its key", ["--kubelet-cert", "/etc/passwd"], /--kubelet-cert needs --kubelet-key as well/],
  ["a relative path", ["--kubelet-ca", "ca.crt"], /expects an absolute path .* got 'ca.crt'/],
  ["a missing file", ["--kubelet-ca", "/nowhere/ca.crt"], /\/nowhere\/ca.crt does not exist or is empty/],
  ["a missing root", ["--root", "/nowhere"], /--root \/nowhere is not a directory/],
  ["a relative root", ["--root", "tree"], /--root needs an absolute path/],
];

for (const [what, args, expected] of REFUSALS) {
  test(`${what} is refused in one line, before anything is changed`, async (bench) => {
    const { code, out, err } = await bench.run(["--root", bench.root, ...args]);
    assertEquals({ code, out }, { code: 1, out: "" });
    assertMatch(err, expected);
    assertEquals(err.split("\n").length, 1, err);
    assertEquals(await bench.paths(), []);
  });
}

test("a binary that does not run here is refused with its own message, before anything is changed", async (bench) => {
  for (
    const [script, why] of [
      [
        "echo 'gilly: /lib/libc.so.6: version `GLIBC_2.27'\\'' not found' >&2",
        "it needs glibc 2\\.27 or later, .* has glibc \\S+",
      ],
      ["echo 'no such luck' >&2", "no such luck"],
    ] as const
  ) {
    Deno.writeTextFileSync(`${bench.release}/gilly`, `#!/bin/sh\n${script}\nexit 1\n`);
    const { code, err } = await bench.run(["--root", bench.root]);
    assertEquals(code, 1);
    assertMatch(err, new RegExp(`^install\\.sh: \\S+/gilly does not run here: ${why}$`));
  }
  assertEquals(await bench.paths(), []);
});

test("the archive of another architecture is refused with the name of the right one", async (bench) => {
  for (
    const [machine, binary, why] of [
      [
        "x86_64",
        elf(183),
        "this archive is for aarch64, not x86_64: unpack the one whose name ends in -linux-x64.tar.gz",
      ],
      [
        "aarch64",
        elf(62),
        "this archive is for x86_64, not aarch64: unpack the one whose name ends in -linux-arm64.tar.gz",
      ],
      ["s390x", elf(62), "Gilly is built for x86_64 and aarch64, not for s390x"],
    ] as const
  ) {
    Deno.writeFileSync(`${bench.release}/gilly`, binary);
    const uname = `#!/bin/sh\n[ "$1" = -m ] && echo ${machine} || exec /bin/uname "$@"\n`;
    Deno.writeTextFileSync(`${bench.release}/uname`, uname, { mode: 0o755 });
    const env = { PATH: `${bench.release}:${Deno.env.get("PATH")}` };
    const { code, err } = await bench.run(["--root", bench.root], ["sh"], { env });
    assertEquals([code, err], [1, `install.sh: ${why}`]);
  }
  assertEquals(await bench.paths(), []);
});

test("an incomplete release is refused", async (bench) => {
  await Deno.remove(`${bench.release}/systemd/gilly.service`);
  const { code, err } = await bench.run(["--root", bench.root]);
  assertEquals(code, 1);
  assertMatch(err, /gilly\.service is missing: unpack the complete archive/);
});

test("a truncated script does nothing", async (bench) => {
  const whole = Deno.readTextFileSync(`${bench.release}/install.sh`);
  const end = whole.lastIndexOf("\nmain ") + 1;
  assertNotEquals(end, 0);
  for (let step = 1; step <= 10; step++) {
    Deno.writeTextFileSync(`${bench.release}/install.sh`, whole.slice(0, Math.floor(end * step / 10)));
    const { out } = await bench.run(["--root", bench.root]);
    assertEquals(out, "");
    assertEquals(await bench.paths(), []);
  }
});
