// Tests lib/daemon/sd_notify.ts against a real datagram socket in place of systemd's.

import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import { formatNotification, type Notifier, type NotifyError, openNotifier } from "../../../lib/daemon/sd_notify.ts";

/** A socket in place of systemd's; it receives messages as text, in order. */
class ServiceManager implements AsyncDisposable {
  readonly socketPath: string;
  readonly runtimeDirectory: string;
  readonly #directory: string;
  readonly #socket: Deno.DatagramConn;

  constructor() {
    this.#directory = Deno.makeTempDirSync({ prefix: "gilly-notify-" });
    this.socketPath = `${this.#directory}/notify`;
    this.runtimeDirectory = `${this.#directory}/run`;
    Deno.mkdirSync(this.runtimeDirectory);
    this.#socket = Deno.listenDatagram({ transport: "unixpacket", path: this.socketPath });
  }

  async received(): Promise<string> {
    const [bytes] = await this.#socket.receive();
    return new TextDecoder().decode(bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await Deno.remove(this.#directory, { recursive: true });
  }
}

function open(manager: ServiceManager, failures: NotifyError[] = []): Notifier {
  const { socketPath, runtimeDirectory } = manager;
  return openNotifier({ socketPath, runtimeDirectory, onFailure: (error) => failures.push(error) });
}

Deno.test("readiness, status, watchdog and stop messages reach the service manager in the protocol's form", async () => {
  await using manager = new ServiceManager();
  const failures: NotifyError[] = [];
  const notifier = open(manager, failures);
  await notifier.send({ ready: true, status: "Checked 12 pods" });
  await notifier.send({ watchdog: true });
  await notifier.send({ stopping: true });
  assertEquals(await manager.received(), "READY=1\nSTATUS=Checked 12 pods");
  assertEquals(await manager.received(), "WATCHDOG=1");
  assertEquals(await manager.received(), "STOPPING=1");
  notifier.close();
  assertEquals(failures, []);
});

Deno.test("a reload sends a begin and an end message, however quickly they follow each other", async () => {
  await using manager = new ServiceManager();
  const notifier = open(manager);
  await Promise.all([notifier.send({ reloading: true }), notifier.send({ ready: true })]);
  assertEquals(await manager.received(), "RELOADING=1");
  assertEquals(await manager.received(), "READY=1");
  notifier.close();
});

Deno.test("a status is one line, whatever it quotes", () => {
  assertEquals(
    formatNotification({ status: "pod a\nREADY=1\r\n\u001b[31mred\u0085 \u2028end\n" }),
    "STATUS=pod a READY=1 [31mred end",
  );
  assertEquals(formatNotification({ status: "" }), "STATUS=");
});

Deno.test("without a notify socket every message is a no-op and nothing is bound", async () => {
  await using manager = new ServiceManager();
  for (const socketPath of [undefined, ""]) {
    const notifier = openNotifier({
      socketPath,
      runtimeDirectory: manager.runtimeDirectory,
      onFailure: (error) => {
        throw error;
      },
    });
    await notifier.send({ ready: true });
    notifier.close();
  }
  assertEquals([...Deno.readDirSync(manager.runtimeDirectory)], []);
});

Deno.test("a socket left over by a killed daemon is replaced, and closing leaves none", async () => {
  await using manager = new ServiceManager();
  const killed = Deno.listenDatagram({ transport: "unixpacket", path: `${manager.runtimeDirectory}/notify.sock` });
  killed.close();
  assertEquals([...Deno.readDirSync(manager.runtimeDirectory)].length, 1, "Deno removes its sockets now: simplify");
  const failures: NotifyError[] = [];
  const notifier = open(manager, failures);
  await notifier.send({ ready: true });
  assertEquals(await manager.received(), "READY=1");
  notifier.close();
  notifier.close();
  await notifier.send({ ready: true });
  assertEquals(failures, []);
  assertEquals([...Deno.readDirSync(manager.runtimeDirectory)], []);
});

Deno.test("a missing socket is reported once, with its path and cause, and never throws", async () => {
  await using manager = new ServiceManager();
  const failures: NotifyError[] = [];
  const socketPath = `${manager.runtimeDirectory}/gone`;
  const notifier = openNotifier({
    socketPath,
    runtimeDirectory: manager.runtimeDirectory,
    onFailure: (error) => failures.push(error),
  });
  await notifier.send({ ready: true });
  await notifier.send({ watchdog: true });
  notifier.close();
  assertEquals(failures.length, 1);
  assertStringIncludes(failures[0]!.message, socketPath);
  assertInstanceOf(failures[0]!.cause, Error);
});

Deno.test("an abstract socket that does not exist is reported, not thrown", async () => {
  await using manager = new ServiceManager();
  const failures: NotifyError[] = [];
  const notifier = openNotifier({
    socketPath: `@gilly-test-${crypto.randomUUID()}`,
    runtimeDirectory: manager.runtimeDirectory,
    onFailure: (error) => failures.push(error),
  });
  await notifier.send({ ready: true });
  notifier.close();
  assertEquals(failures.length, 1);
});

Deno.test("a unit without RuntimeDirectory is reported, and the daemon keeps running", async () => {
  await using manager = new ServiceManager();
  const failures: NotifyError[] = [];
  const notifier = openNotifier({
    socketPath: manager.socketPath,
    runtimeDirectory: undefined,
    onFailure: (error) => failures.push(error),
  });
  await notifier.send({ ready: true });
  notifier.close();
  assertEquals(failures.length, 1);
  assertStringIncludes(String((failures[0]!.cause as Error).message), "RuntimeDirectory=");
});

Deno.test("a frozen service manager neither blocks the daemon nor grows a queue, and the latest state arrives", async () => {
  await using manager = new ServiceManager();
  const failures: NotifyError[] = [];
  const notifier = open(manager, failures);
  // The kernel buffers a few unread datagrams, then blocks the sender.
  while (failures.length === 0) await notifier.send({ watchdog: true });
  assertStringIncludes(String((failures[0]!.cause as Error).message), "did not take the message");
  const ended: Promise<void>[] = [];
  for (let count = 0; count < 1000; count++) ended.push(notifier.send({ watchdog: true, status: `pass ${count}` }));
  ended.push(notifier.send({ reloading: true }), notifier.send({ ready: true }));

  const arrived: string[] = [];
  while (!arrived.at(-1)?.includes("READY=1")) arrived.push(await manager.received());
  await Promise.all(ended);
  assert(arrived.length < 50, `${arrived.length} messages waited`);
  assertEquals(arrived.slice(-2), ["RELOADING=1\nWATCHDOG=1\nSTATUS=pass 999", "READY=1"]);
  assertEquals(failures.length, 1);
  notifier.close();
});

Deno.test("closing while a message waits drops it silently", async () => {
  await using manager = new ServiceManager();
  const failures: NotifyError[] = [];
  const notifier = open(manager, failures);
  const waiting: Promise<void>[] = [];
  for (let count = 0; count < 100; count++) waiting.push(notifier.send({ ready: true }));
  notifier.close();
  await Promise.all(waiting);
  assertEquals(failures, []);
});
