// install.sh into a tree: which runtime the kubelet uses, and what the config and the unit then say.
// containerd_booted_test.ts has it on a running host.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { parseConfig } from "../../lib/config/config.ts";
import { type Bench, test } from "../support/install_bench.ts";

const CONFIG = "etc/gilly/config.yaml";
const DROP_INS = "etc/systemd/system/gilly.service.d";
const MIRROR = ["--mirror", "gcr.io=mirror.example"];
const CONTAINERD = { kind: "containerd", socket: "/run/containerd/containerd.sock" } as const;
const DOCKER = { kind: "docker", socket: "/var/run/docker.sock" } as const;

function runtimeOf(bench: Bench) {
  return parseConfig(bench.read(CONFIG), `/${CONFIG}`).runtime;
}

function flagsOfKubeadm(bench: Bench, flags: string): void {
  bench.write("var/lib/kubelet/kubeadm-flags.env", `KUBELET_KUBEADM_ARGS="${flags}"\n`);
}

for (
  const [what, prepare, runtime, why] of [
    [
      "the flags that kubeadm wrote",
      (bench) =>
        flagsOfKubeadm(bench, "--node-ip=10.0.0.1 --container-runtime-endpoint=unix:///run/containerd/containerd.sock"),
      CONTAINERD,
      "the kubelet's --container-runtime-endpoint",
    ],
    [
      "the same in two words, with the last one in force",
      (bench) =>
        flagsOfKubeadm(bench, "--container-runtime-endpoint unix:///x.sock --container-runtime-endpoint /run/c/c.sock"),
      { kind: "containerd", socket: "/run/c/c.sock" },
      "the kubelet's --container-runtime-endpoint",
    ],
    [
      "an endpoint of cri-dockerd, behind which Docker is",
      (bench) => flagsOfKubeadm(bench, "--container-runtime-endpoint=unix:///var/run/cri-dockerd.sock"),
      DOCKER,
      "the kubelet's --container-runtime-endpoint",
    ],
    [
      "the kubelet's config",
      (bench) =>
        bench.write(
          "var/lib/kubelet/config.yaml",
          'kind: KubeletConfiguration\ncontainerRuntimeEndpoint: "unix:///run/containerd/containerd.sock"\n',
        ),
      CONTAINERD,
      "containerRuntimeEndpoint in /var/lib/kubelet/config.yaml",
    ],
    ["the only runtime that is installed", (bench) => program(bench, "containerd"), CONTAINERD, "no Docker is here"],
    [
      "Docker, which brings containerd with it",
      (bench) => {
        program(bench, "containerd");
        program(bench, "dockerd");
      },
      DOCKER,
      "Docker is here",
    ],
  ] as readonly (readonly [string, (bench: Bench) => void, ReturnType<typeof runtimeOf>, string])[]
) {
  test(`the runtime is found by ${what}`, async (bench) => {
    prepare(bench);
    const out = await bench.install(...MIRROR);
    assertStringIncludes(
      out,
      `found ${runtime.kind}, which the kubelet uses (${why}): the new config names ${runtime.socket}\n`,
    );
    assertEquals(runtimeOf(bench), runtime);
    assertEquals(exists(bench, `${DROP_INS}/30-containerd-group.conf`), runtime.kind === "containerd");
    const before = await bench.snapshot();
    assertMatch(await bench.install(...MIRROR), /is installed already, nothing to do$/);
    assertEquals(await bench.snapshot(), before);
  });
}

function program(bench: Bench, name: string): void {
  bench.write(`usr/bin/${name}`, "");
  Deno.chmodSync(`${bench.root}/usr/bin/${name}`, 0o755);
}

function exists(bench: Bench, path: string): boolean {
  try {
    bench.read(path);
    return true;
  } catch {
    return false;
  }
}

test("without flags the example is installed with the runtime that was found, and is still the example", async (bench) => {
  program(bench, "containerd");
  await bench.install();
  const { runtime, registries } = parseConfig(bench.read(CONFIG), `/${CONFIG}`);
  assertEquals(runtime, CONTAINERD);
  assertEquals(registries.map(({ origin }) => origin), ["gcr.io", "quay.io", "k8s.gcr.io"]);
  assertMatch(await bench.install(), /is installed already, nothing to do$/);
  program(bench, "dockerd");
  await bench.install();
  assertEquals(bench.read(CONFIG), bench.read("usr/local/share/gilly/config.example.yaml"), "it follows the host");
  assertEquals(exists(bench, `${DROP_INS}/30-containerd-group.conf`), false);
});

test("a config that nobody has edited follows the kubelet to another runtime, with its rules", async (bench) => {
  await bench.install(...MIRROR);
  assertEquals(runtimeOf(bench), DOCKER);
  flagsOfKubeadm(bench, "--container-runtime-endpoint=unix:///run/k3s/containerd/containerd.sock");
  await bench.install();
  const { runtime, registries } = parseConfig(bench.read(CONFIG), `/${CONFIG}`);
  assertEquals(runtime, { kind: "containerd", socket: "/run/k3s/containerd/containerd.sock" });
  assertEquals(registries.map(({ origin }) => origin), ["gcr.io"]);
});

test("an edited config rules, and a kubelet with another runtime is named", async (bench) => {
  await bench.install(...MIRROR);
  bench.write(CONFIG, `${bench.read(CONFIG)}# mine\n`);
  const config = bench.read(CONFIG);
  flagsOfKubeadm(bench, "--container-runtime-endpoint=unix:///run/containerd/containerd.sock");
  const out = await bench.install();
  assertStringIncludes(
    out,
    "/etc/gilly/config.yaml names docker, but the kubelet uses containerd (the kubelet's --container-runtime-endpoint): " +
      "write containerd: with its socket, /run/containerd/containerd.sock, instead of docker: there, and run gilly-setup again",
  );
  assertEquals(bench.read(CONFIG), config);
});

test("--runtime overrides what is found", async (bench) => {
  program(bench, "containerd");
  const out = await bench.install(...MIRROR, "--runtime", "docker");
  assertStringIncludes(out, "the new config names docker at /var/run/docker.sock (--runtime)");
  assertEquals(runtimeOf(bench), DOCKER);
  await bench.install("--runtime", "containerd");
  assertEquals(runtimeOf(bench), CONTAINERD);
});

test("CRI-O is refused by name, and nothing is installed", async (bench) => {
  flagsOfKubeadm(bench, "--container-runtime-endpoint=unix:///var/run/crio/crio.sock");
  const refused = await bench.run(["--root", bench.root, ...MIRROR]);
  assertEquals(refused.code, 1);
  assertMatch(
    refused.err,
    /^install\.sh: the kubelet uses CRI-O \(.*\), which .*\/gilly export registries\.conf --config FILE writes/,
  );
  const flagged = await bench.run(["--root", bench.root, "--runtime", "cri-o"]);
  assertMatch(flagged.err, /^install\.sh: CRI-O has no call that names an image, .*export registries\.conf/);
  const unknown = await bench.run(["--root", bench.root, "--runtime", "podman"]);
  assertEquals(unknown.err, "install.sh: --runtime expects docker or containerd, got 'podman'");
  assertEquals((await bench.paths()).filter((path) => path.includes("gilly")), []);
});

test("the daemon of an image with containerd has the group of its socket by default, and none of Docker", async (bench) => {
  program(bench, "containerd");
  const out = await bench.install(...MIRROR);
  const dropIn = bench.read(`${DROP_INS}/30-containerd-group.conf`);
  assertMatch(dropIn, /^\[Service\]\nSupplementaryGroups=\nSupplementaryGroups=root$/m);
  assertStringIncludes(
    out,
    "containerd.sock by its group root: as with Docker's, whoever has that can become root here",
  );
  assertStringIncludes(out, "with a line gid = GID under [grpc] of containerd's config");
  await bench.run(["--root", bench.root, "--uninstall"]);
  assertEquals(exists(bench, `${DROP_INS}/30-containerd-group.conf`), false);
});

test("with containerd the registry proxy is turned on without the redirect, and the way to it is said", async (bench) => {
  program(bench, "containerd");
  const out = await bench.install(...MIRROR, "--proxy");
  assertStringIncludes(out, "gilly export containerd --via-proxy --output led && cp -r led/etc/. /etc/");
  assertEquals((await bench.paths()).filter((path) => /^etc.*(proxy|redirect)/.test(path)), [
    "etc/systemd/system/multi-user.target.wants/gilly-proxy.service",
  ]);
  assertMatch(await bench.install("--proxy"), /nothing to do$/);
});

for (const how of ["--no-proxy", "--uninstall", "--purge"]) {
  test(`${how} is refused while containerd is led to the proxy by files, which name its certificate`, async (bench) => {
    program(bench, "containerd");
    await bench.install(...MIRROR, "--proxy");
    const files = ["gcr.io", "quay.io"].map((host) => `etc/containerd/certs.d/${host}/hosts.toml`);
    for (const file of files) bench.write(file, '[host."https://127.0.0.1:12443"]\n  ca = "/etc/gilly/proxy.crt"\n');
    bench.write("etc/containerd/certs.d/other.example/hosts.toml", 'server = "https://other.example"\n');
    const before = await bench.snapshot();
    const refused = await bench.run(["--root", bench.root, how]);
    assertEquals([refused.code, refused.err], [
      1,
      "install.sh: pulls are led to the registry proxy by files that name its certificate, and would fail without that: " +
      `run 'rm /${files[0]} /${files[1]}' first`,
    ]);
    assertEquals(await bench.snapshot(), before);
    for (const file of files) Deno.removeSync(`${bench.root}/${file}`);
    assertEquals((await bench.run(["--root", bench.root, how])).code, 0);
  });
}

test("a worker that moves from Docker to containerd loses the redirect", async (bench) => {
  await bench.install(...MIRROR, "--proxy");
  program(bench, "containerd");
  const out = await bench.install();
  assertStringIncludes(out, "removed /etc/systemd/system/gilly-proxy.service.wants");
  assertEquals((await bench.paths()).filter((path) => /^etc.*redirect\.service/.test(path)), []);
});
