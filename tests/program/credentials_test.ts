// Tests gilly-credentials and its page with a kubectl that signs: its requests, files and refusals.
// The kubelet here is a fake; e2e/credentials_test.ts uses the real one.

import { assert, assertEquals, assertMatch, assertNotEquals, assertStringIncludes } from "@std/assert";
import { parse } from "@std/yaml";
import { checkClientCertificate, readCertificates } from "../../lib/support/certificates.ts";
import { PROJECT } from "../../tools/deno.ts";
import { type Authority, makeAuthority } from "../fakes/certificates.ts";
import { type FakeKubelet, startKubelet } from "../fakes/kubelet.ts";
import { missingForMtls } from "../fakes/mtls_proxy.ts";
import { Bench, GROUP, missingForCredentials } from "../support/credentials_bench.ts";
import { blockBehind, readPage } from "../support/pages.ts";

const SCRIPT = `${PROJECT}systemd/gilly-credentials`;
const PAGE = readPage("docs/credentials.md");
const STEPS = `gilly-credentials request --node worker-10 >worker-10.csr.yaml
kubectl apply -f worker-10.csr.yaml
kubectl certificate approve -f worker-10.csr.yaml
kubectl get -f worker-10.csr.yaml -o jsonpath='{.status.certificate}' >worker-10.crt`;
const AT_ONCE = "gilly-credentials --kubeconfig /dev/null --node worker-10";
/** A kubelet address where nothing listens. */
const NOBODY = "https://127.0.0.1:1";
const DAY_MS = 86_400_000;
const missing = [...missingForCredentials(), ...missingForMtls()];
if (missing.length > 0) console.log(`tests of gilly-credentials skipped: missing ${missing.join(", ")}`);

function test(name: string, fn: (bench: Bench) => Promise<void>): void {
  Deno.test({
    name,
    ignore: missing.length > 0,
    async fn() {
      await using bench = new Bench();
      bench.put("etc/kubernetes/pki/ca.crt", bench.authority.certificatePem);
      bench.put("etc/gilly/config.yaml", configFor(NOBODY));
      await fn(bench);
    },
  });
}

/**
 * Runs a test with a kubelet as `localhost` that accepts clients of `client`, named in the config.
 */
async function withKubelet(
  bench: Bench,
  use: (kubelet: FakeKubelet) => Promise<void>,
  { client = bench.authority, server = bench.authority }: { client?: Authority; server?: Authority } = {},
): Promise<void> {
  const serverCertificate = server.issueServer({ dnsNames: ["localhost"] });
  const kubelet = await startKubelet({ clientCertificates: { ca: client.certificatePem }, serverCertificate });
  try {
    bench.put("etc/gilly/config.yaml", configFor(kubelet.url));
    await use(kubelet);
  } finally {
    await kubelet.close();
  }
}

function configFor(url: string): string {
  const file = (name: string) => `/etc/gilly/${name}`;
  return [
    `kubelet: # who is asked`,
    `  url: "${url}"`,
    `  caFile: ${file("kubelet-ca.crt")}`,
    `  certFile: ${file("kubelet-client.crt")}`,
    `  keyFile: ${file("kubelet-client.key")}`,
    "",
  ].join("\n");
}

interface SigningRequest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: Record<string, unknown>;
}

test("the request is for a client certificate of this node only, and contains no key", async (bench) => {
  const { code, out, err } = await bench.run("gilly-credentials request --node worker-10 --days 30");
  assertEquals(code, 0);
  const { apiVersion, kind, metadata, spec } = parse(out) as SigningRequest;
  assertEquals([apiVersion, kind], ["certificates.k8s.io/v1", "CertificateSigningRequest"]);
  assertMatch(metadata.name, /^gilly-worker-10-[0-9a-f]{10}$/);
  const { request, ...rest } = spec;
  assertEquals(rest, {
    signerName: "kubernetes.io/kube-apiserver-client",
    expirationSeconds: 2_592_000,
    usages: ["digital signature", "client auth"],
  });
  const pem = atob(request as string);
  assertMatch(pem, /^-----BEGIN CERTIFICATE REQUEST-----\n[^-]+-----END CERTIFICATE REQUEST-----\n$/);
  Deno.writeTextFileSync(`${bench.dir}/csr`, pem);
  assertMatch(
    await bench.sh("openssl req -in csr -verify -noout -subject -nameopt RFC2253 2>/dev/null"),
    /^subject=CN=gilly:worker-10,O=gilly$/m,
  );
  assertEquals(Object.keys(bench.files()), ["kubelet-client.request"]);
  assertEquals(bench.files()["kubelet-client.request"]!.owner, "600 0:0");
  assertStringIncludes(err, "kubectl certificate approve -f worker-10.csr.yaml");
});

test("a pending request is printed again, unless it is replaced", async (bench) => {
  const first = await bench.sh("gilly-credentials request --node worker-10");
  assertEquals(await bench.sh("gilly-credentials request"), first);
  const { code, err } = await bench.run("gilly-credentials request --days 7");
  assertEquals(code, 1);
  assertMatch(err, /^gilly-credentials: a request of worker-10 for 90 days is pending, not of .* 7 days: .*--new$/);
  assertNotEquals(await bench.sh("gilly-credentials request --new --node worker-10"), first);
});

for (const shell of ["dash", "bash --posix", "busybox sh"]) {
  test(`the three steps of the page install three files (${shell})`, async (bench) => {
    const [program = ""] = shell.split(" ");
    if ((await bench.run(`command -v ${program}`)).code !== 0) return console.log(`no ${program} here`);
    const blocks = ["Step by step", "With `kubectl`, in the folder"].map((words) => blockBehind(PAGE, words)).join("");
    assertEquals(blocks.trimEnd(), STEPS);
    const script = `systemctl() { :; }\ngilly() { :; }\n${blocks}${blockBehind(PAGE, "The cluster signs shortly")}`;
    await withKubelet(bench, async (kubelet) => {
      const out = await bench.sh(script, { GILLY_SHELL: shell });
      assertMatch(out, /the certificate of gilly:worker-10 is in place, good until .* GMT: systemctl start gilly/);
      assert(!/to do|not checked/.test(out), out);
      assertEquals(kubelet.requests.map(({ path, identifiedBy }) => [path, identifiedBy]), [["/pods", "certificate"]]);
    });
    const files = bench.files();
    assertEquals(
      Object.entries(files).map(([name, { owner }]) => [name, owner]),
      ["kubelet-ca.crt", "kubelet-client.crt", "kubelet-client.key"].map((name) => [name, `640 0:${GROUP}`]),
    );
    checkClientCertificate(files["kubelet-client.crt"]!.text, files["kubelet-client.key"]!.text);
    const [leaf] = readCertificates(files["kubelet-client.crt"]!.text);
    assertEquals([leaf!.commonName, leaf!.organizations], ["gilly:worker-10", ["gilly"]]);
    assertEquals(Math.round((leaf!.notAfter - Date.now()) / DAY_MS), 90);
    assertEquals(files["kubelet-ca.crt"]!.text, bench.authority.certificatePem);
  });
}

test("the loop of the page works over ssh for every worker, however long the signing takes", async (bench) => {
  bench.setCluster("unsigned", "1");
  await withKubelet(bench, async () => {
    await bench.sh(blockBehind(PAGE, "Over ssh, for all workers"));
    checkClientCertificate(
      bench.files()["kubelet-client.crt"]!.text,
      bench.files()["kubelet-client.key"]!.text,
    );
  });
});

test("with a kubeconfig all steps run at once, and none while the certificate is fresh", async (bench) => {
  await withKubelet(bench, async () => {
    bench.setCluster("unsigned", "2");
    assertStringIncludes(await bench.sh(AT_ONCE), "is in place, good until");
    const before = bench.files();
    const calls = Deno.readTextFileSync(`${bench.cluster}/calls`);
    assertMatch(await bench.sh(AT_ONCE), /^the certificate of gilly:worker-10 is in place already, .*nothing to do$/);
    assertEquals(bench.files(), before);
    assertEquals(Deno.readTextFileSync(`${bench.cluster}/calls`), calls, "the cluster is not asked");
    await bench.sh(`${AT_ONCE} --new`);
    assertNotEquals(bench.files()["kubelet-client.key"], before["kubelet-client.key"]);
  });
});

test("an approval by someone else is picked up by running the command again", async (bench) => {
  bench.setCluster("forbidden", "");
  const { code, err } = await bench.run(AT_ONCE);
  assertEquals(code, 1);
  assertMatch(
    err,
    /^gilly-credentials: cannot approve gilly-worker-10-\w+: error: .* forbidden.*, then run this again$/,
  );
  Deno.removeSync(`${bench.cluster}/forbidden`);
  await bench.sh(`kubectl certificate approve ${/gilly-worker-10-\w+/.exec(err)![0]}`);
  bench.setCluster("forbidden", "");
  assertStringIncludes(await bench.sh(AT_ONCE), "is in place, good until");
});

test("a denied request reports how to request again", async (bench) => {
  bench.setCluster("denied", "");
  const { code, err } = await bench.run(AT_ONCE);
  assertEquals(code, 1);
  assertMatch(err, /^gilly-credentials: gilly-worker-10-\w+ was denied: gilly-credentials --new .* asks again$/);
});

test("--dry-run changes nothing in any step", async (bench) => {
  const calls = () => Deno.statSync(`${bench.cluster}/calls`).size;
  assertMatch(
    await bench.sh("gilly-credentials request --dry-run"),
    /^would make a key in .*kubelet-client.request and/,
  );
  assertMatch(await bench.sh(`${AT_ONCE} --dry-run`), /^would make a key/);
  assertEquals(bench.files(), {});
  await bench.sh(STEPS);
  const [before, asked] = [bench.files(), calls()];
  assertMatch(await bench.sh(`${AT_ONCE} --dry-run`), /^would ask the cluster for gilly-worker-10-\w+, approve it/);
  assertMatch(
    await bench.sh("gilly-credentials install --dry-run worker-10.crt"),
    /^would install \S+\.key\nwould install \S+\.crt\nwould install \S+kubelet-ca\.crt\nnot checked: .*\n.*nothing was changed \(--dry-run\)$/s,
  );
  assertEquals([bench.files(), calls()], [before, asked]);
});

test("a kubelet that is down is reported as not checked", async (bench) => {
  await bench.sh(STEPS);
  const out = await bench.sh("gilly-credentials install worker-10.crt");
  assertMatch(out, /^not checked: https:\/\/127\.0\.0\.1:1 does not answer; run gilly check once it does$/m);
  assertMatch(await bench.sh("gilly-credentials install worker-10.crt"), /nothing to do$/);
});

test("a config that names other files is reported", async (bench) => {
  await bench.sh(STEPS);
  bench.put("etc/gilly/config.yaml", configFor(NOBODY).replace("kubelet-client.key", "other.key"));
  const out = await bench.sh("gilly-credentials install worker-10.crt");
  assertEquals(out.match(/^to do: .*$/gm), [
    "to do: set kubelet.keyFile to /etc/gilly/kubelet-client.key in /etc/gilly/config.yaml",
  ]);
});

test("the certificate is also accepted as PEM, from standard input, with intermediates", async (bench) => {
  await bench.sh(STEPS);
  const pem = atob(Deno.readTextFileSync(`${bench.dir}/worker-10.crt`));
  await bench.sh("gilly-credentials install", {}, `Bag Attributes\n${pem}${bench.authority.certificatePem}`);
  assertEquals(bench.files()["kubelet-client.crt"]!.text, pem + bench.authority.certificatePem);
});

test("a new self-signed certificate of the kubelet is found without being named", async (bench) => {
  const [old, own] = [makeAuthority("worker-10-ca@1"), makeAuthority("worker-10-ca@2")];
  bench.put("etc/gilly/kubelet-ca.crt", old.certificatePem);
  bench.put("var/lib/kubelet/pki/kubelet.crt", own.certificatePem);
  await bench.sh(STEPS);
  await withKubelet(bench, async () => {
    await bench.sh("gilly-credentials install worker-10.crt");
    assertEquals(bench.files()["kubelet-ca.crt"]!.text, own.certificatePem);
  }, { server: own });
});

const CANNOT: readonly (readonly [string, (bench: Bench) => void, RegExp])[] = [
  ["of another node", (bench) => {
    const { certificatePem } = bench.authority.issueClient({ commonName: "gilly:worker-11" });
    Deno.writeTextFileSync(`${bench.dir}/worker-10.crt`, certificatePem);
  }, /the certificate is not for the key of this host's request: expected the one of gilly-worker-10-\w+$/],
  ["that is empty", (bench) => {
    Deno.writeTextFileSync(`${bench.dir}/worker-10.crt`, "\n");
  }, /the certificate is empty: .*run the kubectl get again$/],
  ["that is invalid", (bench) => {
    Deno.writeTextFileSync(`${bench.dir}/worker-10.crt`, "<html>502</html>");
  }, /cannot read a certificate: expected PEM, or what kubectl get -o jsonpath=/],
  ["that is missing", (bench) => {
    Deno.removeSync(`${bench.dir}/worker-10.crt`);
  }, /cannot read the certificate worker-10.crt: check the path$/],
  ["whose request is truncated", (bench) => {
    const file = `${bench.etc}/kubelet-client.request`;
    Deno.writeTextFileSync(file, Deno.readTextFileSync(file).slice(0, 300));
  }, /kubelet-client.request contains an incomplete request: create another with gilly-credentials request --new$/],
  ["when no CA verifies the kubelet", (bench) => {
    Deno.removeSync(`${bench.root}/etc/kubernetes/pki/ca.crt`);
    for (const { name } of Deno.readDirSync(bench.etc)) {
      if (name === "kubelet-ca.crt") Deno.removeSync(`${bench.etc}/${name}`);
    }
  }, /found no CA that verifies the kubelet's certificate: give --ca FILE$/],
];

for (const [what, spoil, expected] of CANNOT) {
  test(`a certificate ${what} is refused in one line, and the installed files stay`, async (bench) => {
    await bench.sh(STEPS);
    await bench.sh("gilly-credentials install worker-10.crt");
    await bench.sh(`rm worker-10.*\n${STEPS}`);
    spoil(bench);
    const before = bench.files();
    await refuses(bench, "gilly-credentials install worker-10.crt", expected);
    assertEquals(bench.files(), before);
  });
}

test("a certificate for servers is refused", async (bench) => {
  bench.setCluster("usage", "serverAuth");
  await bench.sh(STEPS);
  await refuses(
    bench,
    "gilly-credentials install worker-10.crt",
    /not one for clients: sign it with usages: \[client auth\]$/,
  );
});

test("a pair that the kubelet refuses never replaces one that works", async (bench) => {
  await withKubelet(bench, async () => void await bench.sh(AT_ONCE));
  await bench.sh(STEPS);
  const install = "gilly-credentials install worker-10.crt";
  const unchanged = async (options: { client?: Authority; server?: Authority }, status: number, expected: RegExp) => {
    await withKubelet(bench, async (kubelet) => {
      if (status !== 200) kubelet.answerWith({ status });
      const before = bench.files();
      await refuses(bench, install, expected);
      assertEquals(bench.files(), before);
    }, options);
  };
  const stranger = makeAuthority("stranger");
  await unchanged(
    { client: stranger },
    200,
    /does not accept the certificate \(401\): expected one signed by the kubelet's clientCAFile$/,
  );
  await unchanged(
    {},
    403,
    /authenticates gilly:worker-10 but denies access to its pods \(403\): apply the role of docs\/credentials.md/,
  );
  await unchanged(
    { server: stranger },
    200,
    /presents a certificate that \S+kubelet-ca.crt does not verify \(.+\): give --ca FILE/,
  );
  await withKubelet(bench, async () => void await bench.sh(install));
});

test("other authorities that this host trusts do not verify the kubelet", async (bench) => {
  const company = makeAuthority("company");
  const trusted = `${bench.dir}/trusted`;
  Deno.mkdirSync(trusted);
  Deno.writeTextFileSync(`${trusted}/company.crt`, company.certificatePem);
  await bench.sh('cd trusted && ln -s company.crt "$(openssl x509 -in company.crt -noout -hash).0"');
  await bench.sh(STEPS);
  await withKubelet(bench, async () => {
    const env = { SSL_CERT_DIR: trusted, SSL_CERT_FILE: `${trusted}/company.crt` };
    const { code, err } = await bench.run("gilly-credentials install worker-10.crt", env);
    assertEquals(code, 1, "it is not installed");
    assertMatch(err, /^gilly-credentials: \S+ presents a certificate that \S+ca\.crt does not verify/);
  }, { server: company });
});

test("a certificate is renewed only if the old one lasts less than 20 days", async (bench) => {
  for (const [days, calls] of [[21, 0], [19, 1]] as const) {
    const { certificatePem, keyPem } = bench.authority.issueClient({
      commonName: "gilly:worker-10",
      organization: "gilly",
      notAfter: new Date(Date.now() + days * DAY_MS),
    });
    bench.put("etc/gilly/kubelet-client.crt", certificatePem);
    bench.put("etc/gilly/kubelet-client.key", keyPem);
    bench.setCluster("calls", "");
    await bench.sh(AT_ONCE);
    const applied = Deno.readTextFileSync(`${bench.cluster}/calls`).split("\n").filter((call) => / apply /.test(call));
    assertEquals(applied.length, calls, `${days} days`);
  }
});

test("after an interrupted run the next one succeeds", async (bench) => {
  await bench.sh(STEPS);
  await withKubelet(bench, async () => {
    // The state after a kill between the first two files.
    const request = bench.files()["kubelet-client.request"]!.text;
    bench.put("etc/gilly/kubelet-client.key", request.slice(request.indexOf("-----BEGIN")));
    await bench.sh("gilly-credentials install worker-10.crt");
    checkClientCertificate(bench.files()["kubelet-client.crt"]!.text, bench.files()["kubelet-client.key"]!.text);
  });
});

const WRONG: readonly (readonly [string, RegExp])[] = [
  ["", /expected request, install or --kubeconfig FILE: see gilly-credentials --help$/],
  ["renew", /unexpected argument 'renew': see gilly-credentials --help$/],
  ["--force", /unknown option '--force': see gilly-credentials --help$/],
  ["request --days 0", /--days expects a whole number from 1 to 365, got '0'$/],
  ["request --days 366", /--days expects a whole number from 1 to 365, got '366'$/],
  ["request --node 'a b'", /'a b' is not a node's name: give --node$/],
  [`request --node ${"a".repeat(60)}`, /is too long for a certificate's name: use a token, docs\/credentials.md$/],
  ["request --url http://localhost:10255", /expected https:\/\/HOST:PORT; give it with --url$/],
  ["request --kubeconfig /dev/null", /does all steps at once: leave out 'request'$/],
];

for (const [args, expected] of WRONG) {
  test(`gilly-credentials ${args.slice(0, 40) || "without arguments"} is refused in one line`, async (bench) => {
    await refuses(bench, `gilly-credentials ${args}`, expected);
    assertEquals(bench.files(), {});
  });
}

test("without an installed Gilly the error names the first step", async (bench) => {
  Deno.chownSync(bench.etc, 0, 0);
  await refuses(bench, "gilly-credentials request", /belongs to the group root, .*: chgrp gilly \S+$/);
  Deno.removeSync(bench.etc, { recursive: true });
  await refuses(bench, "gilly-credentials request", /does not exist: install Gilly first, which makes it/);
});

test("the roles of the page allow what Gilly requests from the kubelet, and nothing else", async (bench) => {
  bench.setCluster("nodes", "node/worker-10\nnode/worker-11\n");
  for (const words of ["From **Kubernetes 1.33**", "Kubelets **before 1.33**", "After the upgrade to 1.33"]) {
    await bench.sh(blockBehind(PAGE, words));
  }
  const documents = Deno.readTextFileSync(`${bench.cluster}/rights.yaml`).split(/^---$/m).map((text) => parse(text))
    .filter((document) => document !== null && document !== undefined) as Record<string, unknown>[];
  const group = "rbac.authorization.k8s.io";
  const pair = (name: string, rule: Record<string, unknown>, kind: string) => [
    {
      apiVersion: `${group}/v1`,
      kind: "ClusterRole",
      metadata: { name },
      rules: [{ apiGroups: [""], ...rule, verbs: ["get"] }],
    },
    {
      apiVersion: `${group}/v1`,
      kind: "ClusterRoleBinding",
      metadata: { name },
      roleRef: { apiGroup: group, kind: "ClusterRole", name },
      subjects: [{ apiGroup: group, kind, name }],
    },
  ];
  assertEquals(documents, [
    ...pair("gilly", { resources: ["nodes/pods"] }, "Group"),
    ...["worker-10", "worker-11"].flatMap((node) =>
      pair(`gilly:${node}`, { resources: ["nodes/proxy"], resourceNames: [node] }, "User")
    ),
  ]);
  assertMatch(
    Deno.readTextFileSync(`${bench.cluster}/calls`),
    /^delete clusterrolebinding,clusterrole gilly:worker-11$/m,
  );
});

Deno.test("the help fits 80 columns", async () => {
  const { code, stdout } = await new Deno.Command("sh", { args: [SCRIPT, "--help"] }).output();
  const lines = new TextDecoder().decode(stdout).split("\n");
  assertEquals([code, lines.filter((line) => line.length > 80)], [0, []]);
});

async function refuses(bench: Bench, command: string, expected: RegExp): Promise<void> {
  const { code, out, err } = await bench.run(command);
  assertEquals({ code, out }, { code: 1, out: "" });
  assertMatch(err, expected);
  assertMatch(err, /^gilly-credentials: [^\n]+$/);
}
