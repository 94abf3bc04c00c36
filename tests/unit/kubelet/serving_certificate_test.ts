// Tests lib/kubelet/serving_certificate.ts with openssl's own certificates: the command that is advised
// makes one that Gilly accepts, and without its CA:FALSE it does not.

import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { KubeletClient } from "../../../lib/kubelet/client.ts";
import { KubeletError } from "../../../lib/kubelet/errors.ts";
import { selfSignedCommand } from "../../../lib/kubelet/serving_certificate.ts";
import { describeError } from "../../../lib/support/errors.ts";
import { PROJECT } from "../../../tools/deno.ts";
import { notOnPath } from "../../support/programs.ts";
import { testIfPossible } from "../../support/requirements.ts";

const NEVER = new AbortController().signal;

/** Runs a command in a folder, serves no pods with the certificate that it made, and asks for them. */
async function podsWith(command: string, host: string): Promise<number> {
  const folder = await Deno.makeTempDir({ prefix: "gilly-test-" });
  try {
    const made = await new Deno.Command("sh", { args: ["-c", command], cwd: folder, stderr: "piped" }).output();
    assertEquals([made.success, new TextDecoder().decode(made.stderr).match(/error.*/i)?.[0]], [true, undefined]);
    const [cert, key] = ["kubelet.crt", "kubelet.key"].map((name) => Deno.readTextFileSync(`${folder}/${name}`));
    const server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, cert: cert!, key: key!, onListen() {} },
      () => Response.json({ kind: "PodList", apiVersion: "v1", items: [] }),
    );
    const url = `https://${host}:${server.addr.port}`;
    const client = new KubeletClient({ url, caFile: `${folder}/kubelet.crt` });
    try {
      return (await client.pods(NEVER)).pods.length;
    } finally {
      client.close();
      await server.shutdown();
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const missing = notOnPath(["openssl", "sh"]);

for (const host of ["localhost", "127.0.0.1"]) {
  testIfPossible(`the self-signed certificate that is advised for ${host} is accepted`, missing, async () => {
    assertEquals(await podsWith(selfSignedCommand(host), host), 0);
  });
}

testIfPossible("openssl's own default is refused, with the reason in words", missing, async () => {
  const command = selfSignedCommand("localhost").replace(" -addext basicConstraints=critical,CA:FALSE", "");
  const error = await assertRejects(() => podsWith(command, "localhost"), KubeletError);
  assertStringIncludes(
    describeError(error),
    "(its certificate may sign others (CA:TRUE), as openssl req -x509 makes it",
  );
  assertStringIncludes(describeError(error), "CaUsedAsEndEntity");
});

Deno.test("the page on credentials has the same command", async () => {
  const page = await Deno.readTextFile(`${PROJECT}docs/credentials.md`);
  assertStringIncludes(page, `\n    ${selfSignedCommand("worker-10")}\n`);
});

Deno.test("an address is named as one", () => {
  for (
    const [host, name] of [["[fd00::1]", "IP:fd00::1"], ["10.0.0.7", "IP:10.0.0.7"], ["w-10", "DNS:w-10"]] as const
  ) {
    assertStringIncludes(selfSignedCommand(host), `subjectAltName=${name} `);
  }
});
