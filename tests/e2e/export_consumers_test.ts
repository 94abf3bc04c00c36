// The exported files as the runtimes read them, unchanged: containerd, skopeo, and a Docker Engine
// with the containerd image store. Only the exported files make the origins reachable.

import { assertEquals, assertStringIncludes } from "@std/assert";

import { missingForCurrentEngine, startCurrentEngine } from "./current_engine.ts";
import { run, startContainerd } from "./containerd.ts";
import { callEngine, missingPrograms } from "./engine.ts";
import { testIfPossible } from "../support/requirements.ts";
import { startTlsRegistry, type TlsRegistry } from "./tls_registry.ts";
import { runProgram } from "../support/program.ts";
import { exportContainerd } from "../../lib/export/hosts_toml.ts";
import { writeFiles } from "../../lib/export/write.ts";

/** A folder, and two mirrors under it. */
interface Stage {
  readonly dir: string;
  readonly one: TlsRegistry;
  readonly two: TlsRegistry;
  /** Runs `gilly export` with these rules; returns the folder that holds the result as its root. */
  export(format: string, registries: Record<string, string | string[]>): Promise<string>;
  /** Environment in which Go programs trust both mirrors. */
  readonly env: Record<string, string>;
}

async function onStage(use: (stage: Stage) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "gilly-consumers-" });
  try {
    await using one = await startTlsRegistry(`${dir}/one`);
    await using two = await startTlsRegistry(`${dir}/two`);
    const authorities = await Promise.all([one, two].map(({ authorityFile }) => Deno.readTextFile(authorityFile)));
    await Deno.writeTextFile(`${dir}/authorities.pem`, authorities.join(""));
    let count = 0;
    await use({
      dir,
      one,
      two,
      env: { SSL_CERT_FILE: `${dir}/authorities.pem`, HOME: dir },
      async export(format, registries) {
        const config = `${dir}/config-${++count}.yaml`;
        await Deno.writeTextFile(config, JSON.stringify({ kubelet: { url: "http://127.0.0.1:10255" }, registries }));
        const argv = ["export", format, "--output", `${dir}/root-${count}`, "--config", config];
        const { code, stderr } = await runProgram(argv);
        assertEquals(code, 0, stderr);
        return `${dir}/root-${count}`;
      },
    });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

testIfPossible(
  "containerd pulls through the mirrors of the exported hosts.toml, in order and with their paths",
  missingPrograms(["containerd", "ctr", "docker-registry"]),
  () =>
    onStage(async (stage) => {
      const { one, two } = stage;
      const root = await stage.export("containerd", {
        "gcr.io": one.host,
        "quay.io": [one.host, `${two.host}/quay`],
        "k8s.gcr.io": `${one.host}/google_containers`,
        "registry.k8s.io": `${two.host}/proxy/{registry}`,
        "docker.io": two.host,
      });
      const hosts = `${root}/etc/containerd/certs.d`;
      await using containerd = await startContainerd(stage);
      const expected: [string, string][] = [
        ["gcr.io/a/b:1", await one.push("a/b", "1")],
        ["quay.io/only/here:1", await two.push("quay/only/here", "1")],
        ["quay.io/both/of-them:1", await one.push("both/of-them", "1")],
        ["k8s.gcr.io/pause:3.2", await one.push("google_containers/pause", "3.2")],
        ["registry.k8s.io/coredns/coredns:v1", await two.push("proxy/registry.k8s.io/coredns/coredns", "v1")],
        ["docker.io/library/busybox:1", await two.push("library/busybox", "1")],
      ];
      await two.push("quay/both/of-them", "1");
      for (const [name, digest] of expected) assertEquals([name, await containerd.pull(hosts, name)], [name, digest]);
      const digest = await two.push("quay/by/digest", "1");
      assertEquals(await containerd.pull(hosts, `quay.io/by/digest@${digest}`), digest);
    }),
);

testIfPossible(
  "containerd uses * as _default for every other registry, but not for a mirror's own images",
  missingPrograms(["containerd", "ctr", "docker-registry"]),
  () =>
    onStage(async (stage) => {
      const { one, two } = stage;
      const root = await stage.export("containerd", { "gcr.io": two.host, "*": `${one.host}/all` });
      const hosts = `${root}/etc/containerd/certs.d`;
      await using containerd = await startContainerd(stage);
      const expected: [string, string][] = [
        ["registry.invalid:5000/a/b:1", await one.push("all/a/b", "1")],
        ["gcr.io/a/b:1", await two.push("a/b", "1")],
        [`${one.host}/own:1`, await one.push("own", "1")],
        [`${two.host}/own:1`, await two.push("own", "1")],
      ];
      await one.push("all/own", "1");
      for (const [name, digest] of expected) assertEquals([name, await containerd.pull(hosts, name)], [name, digest]);
    }),
);

testIfPossible(
  "containerd trusts a mirror whose CA the exported hosts.toml names",
  missingPrograms(["containerd", "ctr", "docker-registry"]),
  () =>
    onStage(async (stage) => {
      const { dir, one, two } = stage;
      const rules = [{ origin: "gcr.io", mirrors: [`${one.host}/gcr`] }, { origin: "*", mirrors: [`${two.host}/all`] }];
      const { files } = exportContainerd({
        ...{ rules, source: "/etc/gilly/config.yaml", withCredentials: [], excluded: [] },
        authorities: { [one.host]: [one.authorityFile], [two.host]: [two.authorityFile] },
      });
      await writeFiles(files, `${dir}/root`, { force: false });
      const hosts = `${dir}/root/etc/containerd/certs.d`;
      await using containerd = await startContainerd({ ...stage, env: { HOME: dir, SSL_CERT_FILE: "/dev/null" } });
      const expected: [string, string][] = [
        ["gcr.io/a/b:1", await one.push("gcr/a/b", "1")],
        ["registry.invalid/a/b:1", await two.push("all/a/b", "1")],
        [`${one.host}/own:1`, await one.push("own", "1")],
      ];
      for (const [name, digest] of expected) assertEquals([name, await containerd.pull(hosts, name)], [name, digest]);
    }),
);

testIfPossible(
  "skopeo finds images through the exported registries.conf: prefixes, wildcards, order, and a mirror's own images",
  missingPrograms(["skopeo", "docker-registry"]),
  () =>
    onStage(async (stage) => {
      const { one, two } = stage;
      const root = await stage.export("registries.conf", {
        "gcr.io": [one.host, `${two.host}/gcr`],
        "gcr.io/google-containers": `${two.host}/google_containers`,
        "*.pkg.dev": `${one.host}/pkg`,
        "eu.pkg.dev": `${two.host}/eu`,
        "docker.io": `${one.host}/hub`,
        "k8s.gcr.io": `${two.host}/k8s`,
        [two.host]: `${one.host}/copies`,
      });
      const file = `${root}/etc/containers/registries.conf.d/50-gilly.conf`;
      const digestOf = async (name: string) => {
        const output = await run(
          "skopeo",
          ["--registries-conf", file, "inspect", "--no-tags", `docker://${name}`],
          stage.env,
        );
        return (JSON.parse(output) as { Digest: string }).Digest;
      };
      const expected: [string, string][] = [
        ["gcr.io/a/b:1", await one.push("a/b", "1")],
        ["gcr.io/only/there:1", await two.push("gcr/only/there", "1")],
        ["gcr.io/google-containers/pause:3.2", await two.push("google_containers/pause", "3.2")],
        ["deep.us.pkg.dev/p/q:1", await one.push("pkg/p/q", "1")],
        ["eu.pkg.dev/p/q:1", await two.push("eu/p/q", "1")],
        ["docker.io/busybox:1", await one.push("hub/library/busybox", "1")],
        [`${two.host}/else:1`, await one.push("copies/else", "1")],
        [`${two.host}/k8s/pause:1`, await two.push("k8s/pause", "1")],
      ];
      await one.push("google-containers/pause", "3.2");
      await one.push("copies/k8s/pause", "1");
      await two.push("else", "1");
      for (const [name, digest] of expected) assertEquals([name, await digestOf(name)], [name, digest]);
    }),
);

testIfPossible(
  "skopeo prefers a wildcard to a rule of the same length, as the export warns",
  missingPrograms(["skopeo", "docker-registry"]),
  () =>
    onStage(async (stage) => {
      const { one, two } = stage;
      const root = await stage.export("registries.conf", { "x.pkg.dev": one.host, "*.pkg.dev": two.host });
      const file = `${root}/etc/containers/registries.conf.d/50-gilly.conf`;
      assertStringIncludes(
        await Deno.readTextFile(file),
        "# the rule *.pkg.dev comes before the rule x.pkg.dev, which",
      );
      await one.push("a", "1");
      const digest = await two.push("a", "1");
      const output = await run(
        "skopeo",
        ["--registries-conf", file, "inspect", "--no-tags", "docker://x.pkg.dev/a:1"],
        stage.env,
      );
      assertEquals((JSON.parse(output) as { Digest: string }).Digest, digest);
    }),
);

/** Runs a command for which alone the first argument is mounted at /etc/docker. */
const PRIVATE_SETTINGS = [
  ...["unshare", "--mount", "--propagation=slave", "sh", "-c"],
  'mount --bind "$0" /etc/docker && exec "$@"',
];

testIfPossible(
  "a Docker Engine with the containerd image store pulls through the mirrors of the exported hosts.toml",
  [...missingForCurrentEngine(), ...missingPrograms(["docker-registry"])],
  () =>
    onStage(async (stage) => {
      const { one, two } = stage;
      const root = await stage.export("docker", {
        "gcr.io": [one.host, `${two.host}/gcr`],
        "k8s.gcr.io": `${two.host}/google_containers`,
        "*": `${one.host}/all`,
      });
      const engine = await startCurrentEngine(`${stage.dir}/engine`, {
        launcher: ["env", `SSL_CERT_FILE=${stage.env.SSL_CERT_FILE}`, ...PRIVATE_SETTINGS, `${root}/etc/docker`],
      });
      try {
        const expected: [string, string][] = [
          ["gcr.io/a/b:1", await one.push("a/b", "1")],
          ["gcr.io/only/there:1", await two.push("gcr/only/there", "1")],
          ["k8s.gcr.io/pause:3.2", await two.push("google_containers/pause", "3.2")],
          ["docker.io/library/busybox:1", await one.push("all/library/busybox", "1")],
          ["registry.invalid:5000/a/b:1", await one.push("all/a/b", "1")],
          [`${two.host}/own:1`, await two.push("own", "1")],
        ];
        await one.push("all/own", "1");
        for (const [name, digest] of expected) {
          const answer = await callEngine(engine, "POST", `/images/create?${new URLSearchParams({ fromImage: name })}`);
          assertStringIncludes(answer, `Digest: ${digest}`, `${name}: ${answer}`);
          const image = JSON.parse(await callEngine(engine, "GET", `/images/${name}/json`)) as {
            RepoDigests: string[];
          };
          assertEquals(image.RepoDigests.map((text) => text.split("@")[1]), [digest]);
        }
      } finally {
        await engine.remove();
      }
    }),
);
