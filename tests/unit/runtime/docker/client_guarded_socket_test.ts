import { assertEquals, assertRejects } from "@std/assert";
import { DockerRuntime } from "../../../../lib/runtime/docker/client.ts";
import { RuntimeError } from "../../../../lib/runtime/errors.ts";
import { startDockerEngine } from "../../../fakes/docker_engine.ts";

const IMAGE = "mirror.example/a/b:1";

/** What stands before an Engine's socket answers, and the end of the error. */
const ANSWERS = [
  {
    // HAProxy, as Tecnativa's docker-socket-proxy has it.
    what: "a proxy that refuses",
    status: 403,
    body: "<html><body><h1>403 Forbidden</h1>\nRequest forbidden by administrative rules.\n</body></html>\n",
    said: "<html><body><h1>403 Forbidden</h1> Request forbidden by administrative rules. </body></html>",
  },
  { what: "a server without that route", status: 404, body: "404 page not found\n", said: "404 page not found" },
  { what: "a server that reaches nobody", status: 502, body: "Bad Gateway", said: "Bad Gateway" },
] as const;

for (const { what, status, body, said } of ANSWERS) {
  Deno.test(`an answer of ${what} before the socket says nothing of an image or a mirror`, async () => {
    const dir = await Deno.makeTempDir({ prefix: "gilly-docker-" });
    const socket = `${dir}/docker.sock`;
    const engine = await startDockerEngine({ socket });
    engine.intercept = ({ path }) => path === "/_ping" ? undefined : new Response(body, { status });
    const runtime = new DockerRuntime({ socket, noProgressMs: 5000 });
    const { signal } = new AbortController();
    try {
      const calls: Record<string, () => Promise<unknown>> = {
        [`pull ${IMAGE}`]: () => runtime.pull(IMAGE, { signal }),
        [`resolve ${IMAGE}`]: () => runtime.resolve(IMAGE, { signal }),
        [`inspect ${IMAGE}`]: () => runtime.inspect(IMAGE, signal),
        [`tag ${IMAGE} as gcr.io/a/b:1`]: () => runtime.tag(IMAGE, { name: "gcr.io/a/b", tag: "1" }, signal),
        [`query the Docker Engine at ${socket}`]: () => runtime.info(signal),
      };
      for (const [attempt, call] of Object.entries(calls)) {
        const { kind, message } = await assertRejects(call, RuntimeError);
        assertEquals([kind, message], [
          "failed",
          `${attempt}: ${socket} answered ${status}, not as a Docker Engine does; a proxy before that socket must pass ` +
          `GET and POST of /images, and GET of /info, /events and /distribution: ${JSON.stringify(said)}`,
        ]);
      }
    } finally {
      runtime.close();
      await engine.stop();
      await Deno.remove(dir, { recursive: true });
    }
  });
}
