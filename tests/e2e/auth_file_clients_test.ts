// The entry of an auth file that Gilly uses, beside those that the real docker and skopeo use: each
// asks a registry on loopback that notes whose password arrives. No daemon is asked.

import { assertEquals } from "@std/assert";
import { AuthFile } from "../../lib/mirrors/credentials.ts";
import { inTemporaryFolder } from "../support/folder.ts";
import { notOnPath } from "../support/programs.ts";
import { testIfPossible } from "../support/requirements.ts";

const AUTH = btoa("auth:secret");
const FIELDS = { username: "fields", password: "secret" };

interface ClientCase {
  readonly name: string;
  /** The file for a mirror. */
  readonly file: (mirror: string) => unknown;
  readonly path: string;
  /** What arrives from each, as `user:password`; undefined for no credentials. */
  readonly gilly: string | undefined;
  readonly docker: string | undefined;
  readonly skopeo: string | undefined;
}

/** A file with a key for each user. */
const keys = (users: Record<string, string>) => (mirror: string) => ({
  auths: Object.fromEntries(
    Object.entries(users).map(([user, key]) => [key.replace("M", mirror), { auth: btoa(`${user}:secret`) }]),
  ),
});
const one = (entry: unknown) => (mirror: string) => ({ auths: { [mirror]: entry } });
const all = (user: string | undefined) => ({ gilly: user, docker: user, skopeo: user });
/** As docker, which knows fields that skopeo does not. */
const asDocker = (user: string) => ({ gilly: user, docker: user, skopeo: undefined });
/** As skopeo: docker ignores paths, and takes any key of the host. */
const TEAMS = { a: "M/team-a", b: "M/team-b/app", c: "M/team-b" };

const CASES: readonly ClientCase[] = [
  { name: "auth", file: one({ auth: AUTH }), path: "a/app", ...all("auth:secret") },
  { name: "auth beside fields", file: one({ ...FIELDS, auth: AUTH }), path: "a/app", ...all("auth:secret") },
  { name: "auth with NULs", file: one({ auth: btoa("auth:\0secret\0") }), path: "a/app", ...all("auth:secret") },
  { name: "a line break", file: one({ auth: btoa("auth:secret\n") }), path: "a/app", ...all("auth:secret\n") },
  { name: "fields", file: one(FIELDS), path: "a/app", ...asDocker("fields:secret") },
  {
    name: "an empty auth beside fields",
    file: one({ ...FIELDS, auth: "" }),
    path: "a/app",
    ...asDocker("fields:secret"),
  },
  {
    name: "an auth without a colon beside fields",
    file: one({ ...FIELDS, auth: btoa("auth") }),
    path: "a/app",
    ...asDocker("fields:secret"),
  },
  { name: "an auth without a colon", file: one({ auth: btoa("auth") }), path: "a/app", ...all(undefined) },
  { name: "a URL", file: keys({ a: "https://M" }), path: "a/app", ...all("a:secret") },
  { name: "a URL with a version", file: keys({ a: "https://M/v1/" }), path: "a/app", ...all("a:secret") },
  { name: "a slash at the end", file: keys({ a: "M/" }), path: "a/app", ...asDocker("a:secret") },
  { name: "another host", file: keys({ a: "elsewhere.example" }), path: "a/app", ...all(undefined) },
  { name: "another port", file: keys({ a: "https://M0" }), path: "a/app", ...all(undefined) },
];

const PATHS: readonly (readonly [string, ClientCase["file"], string, string | undefined])[] = [
  ["a team's path", keys(TEAMS), "team-a/x/app", "a:secret"],
  ["the longer of two paths", keys(TEAMS), "team-b/app", "b:secret"],
  ["the shorter of two paths", keys(TEAMS), "team-b/other", "c:secret"],
  ["a path with the same beginning", keys(TEAMS), "team-a2/app", undefined],
  ["a path outside all", keys(TEAMS), "other/app", undefined],
  ["a path outside, and an entry for the host", keys({ ...TEAMS, d: "M" }), "other/app", "d:secret"],
  ["a path outside, and a URL of the host", keys({ ...TEAMS, d: "https://M/v2/" }), "other/app", "d:secret"],
];

/** A registry that challenges whoever has no credentials, and notes what arrives. */
function startNotingRegistry() {
  const arrived: string[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, ({ headers }) => {
    const authorization = headers.get("authorization");
    if (authorization !== null) arrived.push(atob(authorization.replace("Basic ", "")));
    // Docker 20.10 asks no further without the version.
    const answer = { "www-authenticate": 'Basic realm="noting"', "docker-distribution-api-version": "registry/2.0" };
    return new Response(null, { status: authorization === null ? 401 : 404, headers: answer });
  });
  return {
    host: `127.0.0.1:${server.addr.port}`,
    /** Returns what arrives while a client runs, which fails in any case; skopeo sends ":" for none. */
    async whileRunning(program: string, args: string[]): Promise<string | undefined> {
      arrived.length = 0;
      await new Deno.Command(program, { args, stdin: "null" }).output();
      return arrived[0] === ":" ? undefined : arrived[0];
    },
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

function clientTest(name: string, file: ClientCase["file"], path: string, expected: Partial<ClientCase>): void {
  testIfPossible(
    `with ${name} Gilly asks as the real clients do`,
    notOnPath(["docker", "skopeo"]),
    () =>
      inTemporaryFolder(async (folder) => {
        await using registry = startNotingRegistry();
        const [config, image] = [`${folder}/config.json`, `${registry.host}/${path}:1`];
        await Deno.writeTextFile(config, JSON.stringify(file(registry.host)));
        const found = await new AuthFile(config, registry.host).read(image);
        const auth = "auth" in found && "username" in found.auth ? found.auth : undefined;
        const asked: Partial<ClientCase> = {
          gilly: auth && `${auth.username}:${auth.password}`,
          skopeo: await registry.whileRunning("skopeo", [
            ...["inspect", "--tls-verify=false", "--authfile", config, `docker://${image}`],
          ]),
        };
        if (!("docker" in expected)) return assertEquals(asked, expected);
        const docker = ["--config", folder, "manifest", "inspect", "--insecure", image];
        assertEquals({ ...asked, docker: await registry.whileRunning("docker", docker) }, expected);
      }),
  );
}

for (const { name, file, path, ...expected } of CASES) clientTest(name, file, path, expected);
for (const [name, file, path, user] of PATHS) clientTest(name, file, path, { gilly: user, skopeo: user });
