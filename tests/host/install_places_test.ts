// Where install.sh puts files and for which user: what it finds there, moves, and leaves alone.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { test } from "../support/install_bench.ts";

const UNITS = "etc/systemd/system";
const UNIT = "usr/local/lib/systemd/system/gilly.service";
const LINK = `${UNITS}/multi-user.target.wants/gilly.service`;

test("a disabled service stays disabled, and --no-enable never enables it", async (bench) => {
  await bench.install();
  await Deno.remove(`${bench.root}/${LINK}`);
  bench.makeBinary("0.2.0");
  await bench.install();
  assert(!(await bench.paths()).includes(LINK));
  await bench.install("--purge");
  await bench.install("--no-enable");
  assert(!(await bench.paths()).includes(LINK));
});

test("the run after an interrupted first installation enables the service", async (bench) => {
  await bench.install();
  for (const path of [LINK, UNIT]) await Deno.remove(`${bench.root}/${path}`);
  await bench.install();
  assertEquals(Deno.readLinkSync(`${bench.root}/${LINK}`), `/${UNIT}`);
});

for (const enabled of [true, false]) {
  test(`the unit of 0.1.0 moves to where it can be masked and stays ${enabled ? "enabled" : "disabled"}`, async (bench) => {
    const old = Deno.readTextFileSync(`${bench.release}/systemd/gilly.service`);
    bench.write(`${UNITS}/gilly.service`, `# of 0.1.0\n${old}`);
    bench.write(`${UNITS}/gilly.service.d/override.conf`, "[Service]\nMemoryMax=1G\n");
    Deno.mkdirSync(`${bench.root}/${UNITS}/multi-user.target.wants`);
    if (enabled) Deno.symlinkSync(`/${UNITS}/gilly.service`, `${bench.root}/${LINK}`);
    assertStringIncludes(await bench.install(), `moved /${UNITS}/gilly.service to /${UNIT}`);
    const paths = await bench.paths();
    assert(!paths.includes(`${UNITS}/gilly.service`));
    assert(paths.includes(`${UNITS}/gilly.service.d/override.conf`));
    assertEquals(bench.read(UNIT), old);
    assertEquals(paths.includes(LINK), enabled);
    if (enabled) assertEquals(Deno.readLinkSync(`${bench.root}/${LINK}`), `/${UNIT}`);
    assertStringIncludes(await bench.install(), "nothing to do");
  });
}

test("the unit that a downgrade to 0.1.0 leaves does not hide this version's", async (bench) => {
  await bench.install();
  const left = await Deno.readTextFile(new URL("../testdata/units/gilly-0.1.0.service", import.meta.url));
  bench.write(`${UNITS}/gilly.service`, left);
  assertStringIncludes(await bench.install(), `removed /${UNITS}/gilly.service, which 0.1.0 had put there`);
  assert(!(await bench.paths()).includes(`${UNITS}/gilly.service`));
  bench.write(`${UNITS}/gilly.service`, `${left}# mine\n`);
  assertStringIncludes(
    await bench.install(),
    `/${UNITS}/gilly.service hides /${UNIT}: merge what is new there into it`,
  );
});

test("an administrator's own unit, or a mask, is not mistaken for an old unit", async (bench) => {
  await bench.install();
  bench.write(`${UNITS}/gilly.service`, "# mine\n");
  assertMatch(
    await bench.install(),
    /^\/etc\/systemd\/system\/gilly\.service hides \S+: merge what is new there into it$/m,
  );
  assertEquals(bench.read(`${UNITS}/gilly.service`), "# mine\n");
  await Deno.remove(`${bench.root}/${UNITS}/gilly.service`);
  Deno.symlinkSync("/dev/null", `${bench.root}/${UNITS}/gilly.service`);
  bench.makeBinary("0.2.0");
  await bench.install();
  assertEquals(Deno.readLinkSync(`${bench.root}/${UNITS}/gilly.service`), "/dev/null");
});

test("--prefix puts the program elsewhere, the unit follows, and both are remembered", async (bench) => {
  await bench.install("--prefix", "/opt/gilly");
  const unit = bench.read(`${UNITS}/gilly.service`);
  assertMatch(unit, /^ExecStart=\/opt\/gilly\/bin\/gilly run /m);
  assertMatch(unit, /^ExecPaths=\/opt\/gilly\/bin\/gilly /m);
  assertEquals((await bench.paths()).filter((path) => path.startsWith("usr/")), []);
  bench.makeBinary("0.2.0");
  await bench.install();
  assertStringIncludes(bench.read("opt/gilly/bin/gilly"), "0.2.0");
  await bench.install("--prefix", "/usr/local");
  assertEquals((await bench.paths()).filter((path) => /^opt|system\/gilly\.service/.test(path)), [UNIT]);
  await bench.install("--prefix", "/opt/gilly");
  await bench.install("--purge");
  assertEquals(await bench.paths(), []);
});

test("a prefix that the unit's sandbox hides is refused", async (bench) => {
  for (const prefix of ["/home/gilly", "/root", "/tmp/gilly", "opt/gilly"]) {
    const { code, err } = await bench.run(["--root", bench.root, "--prefix", prefix]);
    assertEquals(code, 1);
    assertMatch(
      err,
      /^install\.sh: --prefix (\S+ is hidden from the daemon by its sandbox: .*|expects an absolute path .*)$/,
    );
  }
  assertEquals(await bench.paths(), []);
});

test("a person's account is refused, and --user names another", async (bench) => {
  bench.write("etc/passwd", "gilly:x:1500:1500:Gilly Cooper:/home/gilly:/bin/sh\n");
  bench.write("etc/group", "gilly:x:1500:\n");
  const { code, err } = await bench.run(["--root", bench.root]);
  assertEquals(code, 1);
  assertEquals(
    err,
    "install.sh: the account gilly belongs to a person (uid 1500, shell /bin/sh), and the daemon would get all its access: " +
      "name another with --user, such as --user gilly-daemon",
  );
  assertEquals(await bench.paths(), []);
  await bench.install("--user", "gilly-daemon");
  assertMatch(bench.read(UNIT), /^User=gilly-daemon\nGroup=gilly-daemon$/m);
  assertStringIncludes(await bench.install(), "nothing to do");
  await bench.install("--uninstall");
  await bench.install("--purge");
  assertEquals(bench.read("etc/passwd"), "gilly:x:1500:1500:Gilly Cooper:/home/gilly:/bin/sh\n");
});

test("it runs through a symbolic link, and without sbin in PATH", async (bench) => {
  const link = `${bench.root}/../gilly-install`;
  Deno.symlinkSync(`${bench.release}/install.sh`, link);
  const env = { PATH: "/usr/local/bin:/usr/bin:/bin" };
  const install = await bench.run(["--root", bench.root], ["sh"], { env, script: link });
  assertEquals([install.code, install.err], [0, ""]);
  const purge = await bench.run(["--root", bench.root, "--purge"], ["sh"], { env, script: link });
  assertEquals([purge.code, purge.err], [0, ""]);
  assertEquals(bench.read("etc/passwd") + bench.read("etc/group"), "");
});

test("of two concurrent runs the second waits for the first", async (bench) => {
  // Holds the lock that a running install.sh holds, until standard input ends.
  const first = new Deno.Command("flock", {
    args: [bench.root, "sh", "-c", "echo held; cat"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const held = first.stdout.getReader();
  await held.read();
  const second = new Deno.Command("sh", {
    args: [`${bench.release}/install.sh`, "--root", bench.root],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const said = second.stdout.pipeThrough(new TextDecoderStream()).getReader();
  assertEquals((await said.read()).value, "another install.sh or gilly-setup is running: waiting for it to finish\n");
  assertEquals(await bench.paths(), []);
  await first.stdin.close();
  let rest = "";
  for (let part = await said.read(); !part.done; part = await said.read()) rest += part.value;
  assertMatch(rest, /is installed and enabled in /);
  const errors = await new Response(second.stderr).text();
  assertEquals([(await second.status).code, errors], [0, ""]);
  await held.cancel();
  await first.status;
});

test("an image contains nothing about the host that made it, and each host finds its own addresses", async (bench) => {
  await bench.install("--mirror", "gcr.io=mirror.example");
  assertMatch(bench.read("etc/gilly/config.yaml"), /^ {2}url: "https:\/\/\{hostname\}:10250"$/m);
  const paths = await bench.paths();
  assertEquals(paths.filter((path) => path.includes("10-this-host")), []);
  assert(paths.includes(`${UNITS}/multi-user.target.wants/gilly-this-host.service`));
  const unit = bench.read("usr/local/lib/systemd/system/gilly-this-host.service");
  assertMatch(unit, /^Before=gilly\.service$/m);
  assertMatch(unit, /^ExecStart=\/usr\/local\/bin\/gilly-setup --this-host$/m);
});

test("a write failure is one line with the reason, whichever command failed", async (bench) => {
  // Nothing can be made below a file, not even by root.
  bench.write("usr/local/share/man", "");
  const { code, err } = await bench.run(["--root", bench.root]);
  assertEquals(code, 1);
  assertEquals(
    err,
    "install.sh: cannot make the folder of /usr/local/share/man/man8/gilly.8: Not a directory; " +
      "correct that and run install.sh again",
  );
  const elsewhere = await bench.run(["--root", bench.root], ["sh"], { env: { TMPDIR: "/nowhere" } });
  assertEquals(
    elsewhere.err,
    "install.sh: cannot make a temporary folder: No such file or directory; name a writable one in TMPDIR",
  );
});
