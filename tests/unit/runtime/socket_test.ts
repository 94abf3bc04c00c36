// Tests lib/runtime/socket.ts: the operating system's own errors, through both runtimes.

import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { SocketFault } from "../../../lib/runtime/advice.ts";
import { ContainerdRuntime } from "../../../lib/runtime/containerd/client.ts";
import { DockerRuntime } from "../../../lib/runtime/docker/client.ts";
import { RuntimeError } from "../../../lib/runtime/errors.ts";
import { socketFault } from "../../../lib/runtime/socket.ts";

const RUNTIMES = { docker: DockerRuntime, containerd: ContainerdRuntime };

interface Place {
  readonly what: string;
  /** Makes what is at the path; what it returns ends it. */
  readonly make: (path: string) => Disposable | void;
  readonly fault: SocketFault;
  readonly because: string;
}

const PLACES: readonly Place[] = [
  { what: "nothing", make: () => {}, fault: { kind: "absent" }, because: "No such file" },
  {
    what: "a directory",
    make: (path) => Deno.mkdirSync(path),
    fault: { kind: "not-a-socket", found: "a directory" },
    because: "what is there is a directory, not a socket",
  },
  {
    what: "a file",
    make: (path) => Deno.writeTextFileSync(path, ""),
    fault: { kind: "not-a-socket", found: "a file" },
    because: "what is there is a file, not a socket",
  },
  {
    what: "a socket without a listener",
    make(path) {
      const listener = Deno.listen({ transport: "unix", path: `${path}.first` });
      // The platform removes the listener's own name when it closes.
      Deno.linkSync(`${path}.first`, path);
      listener.close();
    },
    fault: { kind: "not-listening" },
    because: "Connection refused",
  },
  {
    what: "a listener that never answers",
    make: (path) => Deno.listen({ transport: "unix", path }),
    fault: { kind: "hangs" },
    because: "no answer within 0.2 s",
  },
];

for (const [name, Runtime] of Object.entries(RUNTIMES)) {
  for (const { what, make, fault, because } of PLACES) {
    Deno.test(`${name}: ${what} in the place of the socket is told as such`, async () => {
      const folder = await Deno.makeTempDir({ prefix: "gilly-test-" });
      const socket = `${folder}/runtime.sock`;
      using _made = make(socket) ?? { [Symbol.dispose]() {} };
      const runtime = new Runtime({ socket, noProgressMs: 1000, callTimeoutMs: 200 });
      try {
        const error = await assertRejects(() => runtime.info(new AbortController().signal), RuntimeError);
        assertEquals(error.silence?.fault, fault);
        assertStringIncludes(error.silence!.because, because);
      } finally {
        runtime.close();
        await Deno.remove(folder, { recursive: true });
      }
    });
  }
}

Deno.test("words that something else says are no error of the socket", () => {
  for (const text of ["dial unix /x.sock: connect: no such file or directory", "connection refused", "EOF"]) {
    assertEquals(socketFault("/nonexistent", new Error(text)), undefined);
  }
});
