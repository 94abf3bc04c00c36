// A bench for the registry proxy without the redirect: a mirror in this process, a certificate, a
// config, and the program.

import type { Gilly } from "../e2e/gilly.ts";
import { makeAuthority } from "../fakes/certificates.ts";
import { type FakeMirror, startMirror } from "../fakes/mirror.ts";
import { freePort } from "./ports.ts";
import { startProgram } from "./program.ts";

const AUTHORITY = makeAuthority("gilly-test");

/** Its certificate is for gcr.io and localhost. Disposing of it ends the programs. */
export interface ProxyBench extends AsyncDisposable {
  /** Has the config, the certificate, both ledgers and the state file. */
  readonly folder: string;
  readonly configFile: string;
  readonly port: number;
  readonly mirror: FakeMirror;
  /** Writes the config with these registries, as YAML in one line, and with further lines. */
  configure(registries: string, more?: string): Promise<void>;
  /** Starts the program and waits until it serves; `onLine` receives each line of its journal. */
  start(onLine?: (line: string) => void): Promise<Gilly>;
  /** Asks it in the name of gcr.io. */
  fetch(path: string, method?: string): Promise<Response>;
  /** A connection as a runtime makes it. */
  connect(): Promise<Deno.TlsConn>;
}

/** Makes a bench whose config maps gcr.io to the mirror. */
export async function openProxyBench(): Promise<ProxyBench> {
  await using parts = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "gilly-test-" });
  parts.defer(() => Deno.remove(folder, { recursive: true }));
  const { certificatePem, keyPem } = AUTHORITY.issueServer({ dnsNames: ["gcr.io", "localhost"] });
  await Deno.writeTextFile(`${folder}/proxy.crt`, certificatePem);
  await Deno.writeTextFile(`${folder}/proxy.key`, keyPem);
  const mirror = startMirror();
  parts.defer(() => mirror.stop());
  const port = freePort();
  const configFile = `${folder}/config.yaml`;
  const trust = { caCerts: [AUTHORITY.certificatePem] };
  const client = Deno.createHttpClient({ ...trust, poolMaxIdlePerHost: 0 });
  parts.defer(() => client.close());
  const programs: Gilly[] = [];
  parts.defer(async () => void await Promise.all(programs.map((program) => program.end())));
  const configure: ProxyBench["configure"] = (registries, more = "") =>
    Deno.writeTextFile(
      configFile,
      [
        "kubelet: {url: 'https://worker:10250', tokenFile: /nonexistent}",
        `registries: ${registries}`,
        `proxy: {listen: ${port}, certFile: proxy.crt, keyFile: proxy.key, ledgerFile: proxy.jsonl}`,
        "ledger: {file: ledger.jsonl}",
        more,
      ].join("\n"),
    );
  await configure(`{gcr.io: ${mirror.host}}`);
  const kept = parts.move();
  return {
    folder,
    configFile,
    port,
    mirror,
    configure,
    async start(onLine) {
      const program = startProgram(["proxy", "--config", configFile], { RUNTIME_DIRECTORY: folder }, onLine);
      programs.push(program);
      await program.waitForLine(/serving .* at 127\.0\.0\.1:/);
      return program;
    },
    fetch: (path, method = "GET") => fetch(`https://localhost:${port}${path}?ns=gcr.io`, { client, method }),
    connect: () => Deno.connectTls({ hostname: "localhost", port, ...trust }),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}
