// Tests `gilly check` on a fake worker whose runtime is containerd, and on one whose config names
// another runtime than the kubelet's.

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Finding } from "../../lib/check/finding.ts";
import { failure, type FakeContainerdOptions, fakeImage } from "../fakes/containerd.ts";
import { startDockerEngine } from "../fakes/docker_engine.ts";
import { type FakeMirror, registryError, startMirror } from "../fakes/mirror.ts";
import { type AnyFakeNode, startNode } from "../fakes/node.ts";
import { freePort } from "../support/ports.ts";
import { runProgram, startProgram } from "../support/program.ts";

const IMAGE = fakeImage("web");
const PODS = [{ name: "web", containers: [{ name: "app", image: "gcr.io/a/web:1" }] }];

/** Starts a worker with containerd on which a pod runs. */
function startContainerdNode(config: string, containerd: Partial<FakeContainerdOptions> = {}) {
  return startNode({ runtime: "containerd", pods: PODS, images: { "gcr.io/a/web:1": IMAGE }, containerd, config });
}

/** Runs check as text and as JSON, and returns the findings by name. */
async function checked({ configFile, dir }: AnyFakeNode) {
  const argv = ["check", "--config", configFile, "--state-file", `${dir}/state.json`];
  const [text, json] = [await runProgram(argv), await runProgram([...argv, "--json"])];
  assertEquals([text.stderr, json.stderr, text.code], ["", "", json.code]);
  const findings = JSON.parse(json.stdout) as Finding[];
  const named = (name: string) => {
    const found = findings.filter((finding) => finding.name === name);
    assertEquals(found.length, 1, `${name}: ${text.stdout}`);
    const { verdict, message, remedy } = found[0]!;
    return [verdict, message, remedy ?? ""] as const;
  };
  return { code: text.code, text: text.stdout, findings, named };
}

/** Asserts that a text speaks of Docker nowhere but in the name of its registry and of its auth file. */
function assertWithoutDocker(text: string): void {
  const rest = text.replace(/docker\.io|Docker's config\.json/g, "");
  assert(!/docker|engine|daemon\.json|insecure-registries/i.test(rest), rest);
}

async function withMirrors(count: number, use: (...mirrors: FakeMirror[]) => Promise<void>): Promise<void> {
  const mirrors = Array.from({ length: count }, startMirror);
  try {
    await use(...mirrors);
  } finally {
    await Promise.all(mirrors.map((mirror) => mirror.stop()));
  }
}

Deno.test("check asks the mirrors itself, finds what each answers, and speaks of containerd alone", async () => {
  await withMirrors(3, async (open, guarded, limited) => {
    guarded!.respond = (request, serve) =>
      request.headers.get("authorization") === `Basic ${btoa("gilly:right")}`
        ? serve()
        : registryError(401, "UNAUTHORIZED", "authentication required", { "www-authenticate": 'Basic realm="r"' });
    limited!.respond = () => registryError(429, "TOOMANYREQUESTS", "slow down", { "retry-after": "7" });
    const down = `127.0.0.1:${freePort()}`;
    open!.put("pause:3.2");
    await using node = await startContainerdNode([
      `registries:`,
      `  gcr.io: ["${open!.host}", "${guarded!.host}"]`,
      `  quay.io: ["${limited!.host}", "${down}"]`,
      `  docker.io: "${open!.host}/hub"`,
      `  k8s.gcr.io: "${open!.host}"`,
      `mirrors: {"${guarded!.host}": {authFile: auth.json}}`,
      `keep: ["k8s.gcr.io/pause:3.2", "k8s.gcr.io/lost:1"]`,
      "",
    ].join("\n"));
    const write = (password: string) =>
      Deno.writeTextFile(
        `${node.dir}/auth.json`,
        JSON.stringify({ auths: { [guarded!.host]: { username: "gilly", password } } }),
        { mode: 0o600 },
      );
    await write("rosebud-0451");
    const wrong = await checked(node);
    assertWithoutDocker(wrong.text);
    assert(!wrong.text.includes("rosebud-0451"));
    assertEquals(wrong.code, 1);
    assertEquals(wrong.named(`mirror ${open!.host}`)[0], "ok");
    const [verdict, message] = wrong.named(`mirror ${guarded!.host}`);
    assertEquals(verdict, "fail");
    assertMatch(
      message,
      /^the credentials of \S+auth\.json are refused: .*answered 401, UNAUTHORIZED: authentication required/,
    );
    assertMatch(
      wrong.named(`mirror ${limited!.host}`).join(" "),
      /^warn reachable, but it limits the rate of requests/,
    );
    assertMatch(wrong.named(`mirror ${down}`).join(" "), /^fail .*Connection refused.* is the mirror up/);
    assertEquals(wrong.named("keep k8s.gcr.io/pause:3.2").slice(0, 2), [
      "warn",
      `not here yet; ${open!.host} has it`,
    ]);
    assertMatch(wrong.named("keep k8s.gcr.io/lost:1").join(" "), /^fail not here, and no mirror has it/);
    await write("right");
    const right = await checked(node);
    assertEquals(right.named(`mirror ${guarded!.host}`)[0], "ok");
    assertEquals(node.containerd.pulls(), [], "nothing is pulled to find out");
    assertEquals(node.containerd.unexpected, []);
  });
});

for (
  const [what, options, message, remedy] of [
    [
      "a config_path",
      { configPath: "/etc/containerd/certs.d" },
      "this containerd reads mirrors from /etc/containerd/certs.d/HOST/hosts.toml",
      /^gilly export containerd writes them$/,
    ],
    [
      "no config_path",
      {},
      "this containerd has no config_path, so it reads no hosts.toml: keep Gilly running",
      /^write config_path = .* under \[plugins\."io\.containerd\.grpc\.v1\.cri"\.registry\] into \/etc\/containerd/,
    ],
    [
      "no config_path, version 2",
      { version: "v2.1.1" },
      "this containerd has no config_path, so it reads no hosts.toml: keep Gilly running",
      /under \[plugins\."io\.containerd\.cri\.v1\.images"\.registry\] into/,
    ],
  ] as readonly (readonly [string, Partial<FakeContainerdOptions>, string, RegExp])[]
) {
  Deno.test(`check of a containerd with ${what}: its lines, and the permanent fix`, async () => {
    await withMirrors(1, async (mirror) => {
      await using node = await startContainerdNode(`registries: {gcr.io: "${mirror!.host}"}\n`, options);
      const { named, text } = await checked(node);
      assertWithoutDocker(text);
      assertEquals(named("containerd socket").slice(0, 2), ["ok", `${node.containerd.socket} answers`]);
      assertEquals(named("containerd")[1], `containerd ${options.version ?? "1.6.20~ds1"}, API CRI v1`);
      assertEquals(named("image store").slice(0, 2), ["ok", "containerd's"]);
      assertEquals(named("digests").slice(0, 2), ["ok", "name@sha256:… can be repaired on this image store"]);
      const [verdict, told, next] = named("permanent fix");
      assertEquals([verdict, told], ["ok", message]);
      assertMatch(next, remedy);
    });
  });
}

Deno.test("check of a containerd that is away, or is none, names it and the next step", async () => {
  await using node = await startContainerdNode("registries: {gcr.io: mirror.example}\n");
  await node.containerd.stop();
  const away = await checked(node);
  assertWithoutDocker(away.text);
  assertEquals(away.named("containerd socket"), [
    "fail",
    `${node.containerd.socket} does not exist`,
    "check containerd.socket in the config; if it is correct: systemctl start containerd",
  ]);
  assertEquals(away.named("mirror mirror.example")[1], "not checked, because containerd does not answer");
  await node.containerd.start();
  node.containerd.intercept = ({ method }) => method === "Version" ? failure(12, "unknown service") : undefined;
  const odd = await checked(node);
  assertWithoutDocker(odd.text);
  assertEquals(odd.named("containerd")[0], "fail");
  assertMatch(odd.named("containerd")[2], /^systemctl status containerd; journalctl -u containerd -n 20/);
});

for (
  const [kubelets, message, remedy] of [
    [
      "containerd",
      "the kubelet runs its containers in containerd, not in the Docker Engine: repairs help no pod",
      "write containerd: with its socket instead of docker: into the config, then run gilly-setup, " +
      "which lets the service use that socket",
    ],
    [
      "cri-o",
      "the kubelet runs its containers in CRI-O, which has no call that names an image: no pod can be repaired",
      "gilly export registries.conf writes the rules for CRI-O itself; then uninstall Gilly",
    ],
  ] as const
) {
  Deno.test(`a config for Docker where the kubelet uses ${kubelets} fails in check, and is one warning in the log`, async () => {
    await using node = await startNode({
      pods: PODS,
      images: { "gcr.io/a/web:1": IMAGE },
      kubeletRuntime: kubelets,
      engine: { registries: { "mirror.example": { state: "up", images: {} } } },
      config: "registries: {gcr.io: mirror.example}\npoll: {interval: 1s, safety: 1s}\n",
    });
    const { code, named } = await checked(node);
    assertEquals(code, 1);
    assertEquals(named("runtime of the kubelet"), ["fail", message, remedy]);
    await using daemon = startProgram(["run", "--config", node.configFile]);
    await daemon.waitForLine(/\[GetPods\] {2}the kubelet runs its containers in /);
    await node.kubelet.waitForRequest(node.kubelet.requests.length + 3);
    assertEquals((await daemon.end()).code, 0);
    const lines = daemon.journal.filter((line) => line.includes("the kubelet runs its containers in"));
    assertEquals(lines.length, 1);
    assert(lines[0]!.endsWith(`${message}: ${remedy}`), lines[0]);
  });
}

Deno.test("a config for containerd where the kubelet uses Docker fails as well", async () => {
  await using node = await startNode({
    runtime: "containerd",
    pods: PODS,
    images: { "gcr.io/a/web:1": IMAGE },
    kubeletRuntime: "docker",
  });
  const { named } = await checked(node);
  assertEquals(named("runtime of the kubelet").slice(0, 2), [
    "fail",
    "the kubelet runs its containers in docker, not in containerd: repairs help no pod",
  ]);
});

Deno.test("what listens as containerd may be Docker: check says that it does not answer as containerd", async () => {
  await using node = await startContainerdNode("registries: {gcr.io: mirror.example}\n");
  await node.containerd.stop();
  const docker = await startDockerEngine({ socket: node.containerd.socket, registries: {} });
  try {
    assertMatch((await checked(node)).named("containerd").join(" "), /^fail .*does not answer as containerd/);
  } finally {
    await docker.stop();
  }
});
