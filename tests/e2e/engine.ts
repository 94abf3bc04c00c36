// Real programs for tests: a Docker Engine with its own data and socket, a registry on a loopback
// port, and images made without a registry. The caller gives each its own directory and must stop
// it.

import { delay } from "@std/async/delay";
import type { IssuedCertificate } from "../fakes/certificates.ts";
import { concat } from "../fakes/der.ts";
import { notOnPath } from "../support/programs.ts";
import { Daemon, tried } from "./daemon.ts";

/** Programs a real Engine and registry need; the Debian packages are docker.io and docker-registry. */
const PROGRAMS = ["dockerd", "containerd", "runc", "docker-registry"] as const;

/**
 * Returns the `programs` that are neither on PATH nor in /usr/sbin or /sbin, so that a test can say
 * why it is ignored.
 */
export function missingPrograms(programs: readonly string[] = PROGRAMS): string[] {
  return notOnPath(programs, ["/usr/sbin", "/sbin"]);
}

/** True when a missing program must fail a test instead of skipping it: `GILLY_E2E=require`. */
export function realIsRequired(): boolean {
  return Deno.env.get("GILLY_E2E") === "require";
}

/** A running Docker Engine. */
export interface RealEngine {
  readonly socket: string;
  readonly dir: string;
  /** Everything dockerd printed. */
  readonly logFile: string;
  /** Ends dockerd as systemd would; its data stays. */
  stop(): Promise<void>;
  /** Ends dockerd without warning (SIGKILL); its data stays, as after a crash. */
  kill(): Promise<void>;
  /** Starts it again on the same socket and data. Resolves once it answers. */
  start(): Promise<void>;
  /** Stops it and removes its directory, mounts included. */
  remove(): Promise<void>;
}

/**
 * Starts dockerd under `dir` and resolves once it answers. `args` are added to its command line;
 * `launcher` is a command, such as `env`, that executes the command line after it.
 */
export async function startEngine(
  dir: string,
  options: { readonly args?: readonly string[]; readonly launcher?: readonly string[] } = {},
): Promise<RealEngine> {
  await Deno.mkdir(dir, { recursive: true });
  const socket = `${dir}/docker.sock`;
  const logFile = `${dir}/dockerd.log`;
  const [program = "dockerd", ...rest] = [...(options.launcher ?? []), "dockerd"];
  const daemon = new Daemon(program, [
    ...rest,
    ...["--data-root", `${dir}/data`, "--exec-root", `${dir}/exec`, "--pidfile", `${dir}/dockerd.pid`],
    ...["-H", `unix://${socket}`, "--bridge=none", "--iptables=false", ...(options.args ?? [])],
  ], logFile);
  const stop = async (signal: Deno.Signal) => {
    await daemon.stop(signal);
    await endLeftover("containerd", `${dir}/exec/containerd/containerd.pid`);
    await Deno.remove(`${dir}/dockerd.pid`).catch(() => {});
  };
  // dockerd gives its containerd 15 s, which can be too short on a busy disk.
  const start = () =>
    tried(2, async () => {
      try {
        await daemon.start("API listen on");
      } catch (error) {
        await stop("SIGKILL");
        throw error;
      }
    });
  await start();
  return {
    socket,
    dir,
    logFile,
    start,
    stop: () => stop("SIGTERM"),
    kill: () => stop("SIGKILL"),
    async remove() {
      await stop("SIGTERM");
      await unmountUnder(dir);
      await Deno.remove(dir, { recursive: true });
    },
  };
}

// Kills what is left of a killed dockerd: its containerd ends a little later, and a new dockerd
// that still sees it waits for it in vain. It is not our child, so its end is polled.
async function endLeftover(program: string, pidFile: string): Promise<void> {
  const pid = Number(await Deno.readTextFile(pidFile).catch(() => "0"));
  const runs = async () => (await Deno.readTextFile(`/proc/${pid}/comm`).catch(() => "")).startsWith(program);
  for (let tries = 0; pid > 1 && await runs() && tries < 500; tries++) {
    if (tries === 0) Deno.kill(pid, "SIGKILL");
    await delay(10);
  }
  await Deno.remove(pidFile).catch(() => {});
}

async function unmountUnder(dir: string): Promise<void> {
  const mounts = (await Deno.readTextFile("/proc/mounts")).split("\n").map((line) => line.split(" ")[1] ?? "");
  const ours = mounts.filter((mount) => mount.startsWith(`${dir}/`)).reverse();
  if (ours.length > 0) await new Deno.Command("umount", { args: ["-l", ...ours], stderr: "null" }).output();
}

/** User name and password that a registry started with `credentials: true` accepts. */
export const REGISTRY_USER = { username: "alice", password: "wonderland" } as const;
const REGISTRY_USER_HTPASSWD = "alice:$2b$04$2xFLPlkMYCeu4a4iAV.SOOcLzcoi3xZFZPwp/r7jrgwAlJExkspXe\n";

/** A running registry (docker-registry, the reference implementation) on a loopback port. */
export interface RealRegistry {
  /** `127.0.0.1:PORT`, the host part of its references; Docker uses plain HTTP on loopback. */
  readonly host: string;
  readonly dir: string;
  readonly logFile: string;
  /** Stops it; connections are then refused. */
  stop(): Promise<void>;
  /** Starts it again on the same port with the same images. */
  start(): Promise<void>;
  /** Stops it and removes its directory. */
  remove(): Promise<void>;
}

/**
 * Starts a registry under `dir`, which also holds its images. With `credentials` it admits only
 * REGISTRY_USER; with a `certificate` it serves HTTPS.
 */
export async function startRegistry(
  dir: string,
  options: { readonly credentials?: boolean; readonly certificate?: IssuedCertificate } = {},
): Promise<RealRegistry> {
  await Deno.mkdir(dir, { recursive: true });
  const config = `${dir}/registry.yml`;
  const logFile = `${dir}/registry.log`;
  await Deno.writeTextFile(`${dir}/htpasswd`, REGISTRY_USER_HTPASSWD);
  const { certificatePem, keyPem } = options.certificate ?? { certificatePem: "", keyPem: "" };
  await Deno.writeTextFile(`${dir}/server.crt`, certificatePem);
  await Deno.writeTextFile(`${dir}/server.key`, keyPem);
  const tls = options.certificate && `, tls: {certificate: "${dir}/server.crt", key: "${dir}/server.key"}`;
  const writeConfig = (address: string) =>
    Deno.writeTextFile(
      config,
      `version: 0.1\nlog: {level: info}\nstorage: {filesystem: {rootdirectory: "${dir}/data"}}\n` +
        `http: {addr: "${address}"${tls ?? ""}}\n` +
        (options.credentials ? `auth: {htpasswd: {realm: gilly, path: "${dir}/htpasswd"}}\n` : ""),
    );
  const daemon = new Daemon("docker-registry", ["serve", config], logFile);
  await writeConfig("127.0.0.1:0");
  const line = await daemon.start("listening on");
  const host = /listening on ([0-9.]+:\d+)/.exec(line)?.[1];
  if (host === undefined) throw new Error(`docker-registry did not say where it listens: ${line}`);
  await writeConfig(host);
  return {
    host,
    dir,
    logFile,
    stop: () => daemon.stop("SIGTERM"),
    start: async () => void await daemon.start("listening on"),
    async remove() {
      await daemon.stop("SIGTERM");
      await Deno.remove(dir, { recursive: true });
    },
  };
}

/** A file of an image: its bytes, or the target of a symbolic link. Paths are relative, without a leading slash. */
export type ImageFile = string | Uint8Array | { readonly link: string };

/** Files of an image whose programs are Debian's static busybox: `/bin/busybox`, with links for sh, sleep, true, cat. */
export async function busyboxFiles(): Promise<Record<string, ImageFile>> {
  const links = ["sh", "sleep", "true", "cat"].map((name) => [`bin/${name}`, { link: "busybox" }] as const);
  return { "bin/busybox": await Deno.readFile("/bin/busybox"), ...Object.fromEntries(links) };
}

/**
 * Makes an image in the Engine's store under `reference` (`name:tag`) and returns its id. `changes` are Dockerfile lines
 * such as `CMD ["/bin/sleep","1000"]`. Different `files` give different images.
 */
export async function makeImage(
  engine: RealEngine,
  reference: string,
  files: Record<string, ImageFile>,
  changes: readonly string[] = [],
): Promise<string> {
  const { name, tag } = splitTag(reference);
  const query = new URLSearchParams([["fromSrc", "-"], ["repo", name], ["tag", tag]]);
  for (const change of changes) query.append("changes", change);
  const answer = await callEngine(engine, "POST", `/images/create?${query}`, { body: tarOf(files) });
  const last = JSON.parse(answer.trim().split("\n").at(-1) ?? "{}") as { status?: string; error?: string };
  if (last.status === undefined) throw new Error(`making ${reference}: ${answer}`);
  return last.status;
}

/** Gives a local image another name (`name:tag`). */
export async function tagImage(engine: RealEngine, source: string, reference: string): Promise<void> {
  const { name, tag } = splitTag(reference);
  await callEngine(engine, "POST", `/images/${source}/tag?${new URLSearchParams({ repo: name, tag })}`);
}

/** Pushes a local image to the registry in its name and returns its digest there. */
export async function pushImage(
  engine: RealEngine,
  reference: string,
  user: { readonly username: string; readonly password: string } = REGISTRY_USER,
): Promise<string> {
  const { name, tag } = splitTag(reference);
  const headers = { "X-Registry-Auth": btoa(JSON.stringify(user)).replaceAll("+", "-").replaceAll("/", "_") };
  const answer = await callEngine(engine, "POST", `/images/${name}/push?tag=${tag}`, { headers });
  const digest = /: digest: (sha256:[0-9a-f]{64}) size/.exec(answer)?.[1];
  if (digest === undefined) throw new Error(`pushing ${reference}: ${answer}`);
  return digest;
}

/** Removes a name, and the image with its last name. */
export async function removeImage(engine: RealEngine, reference: string): Promise<void> {
  await callEngine(engine, "DELETE", `/images/${reference}`);
}

/** Sends one request to the Engine and returns the body as text. Throws on status 400 or above. */
export async function callEngine(
  engine: RealEngine,
  method: string,
  path: string,
  init: { readonly body?: Uint8Array<ArrayBuffer>; readonly headers?: Record<string, string> } = {},
): Promise<string> {
  const client = Deno.createHttpClient({ proxy: { transport: "unix", path: engine.socket } });
  try {
    const response = await fetch(`http://docker${path}`, { method, client, redirect: "manual", ...init });
    const text = await response.text();
    if (response.status >= 400) throw new Error(`${method} ${path}: ${response.status} ${text.trim()}`);
    return text;
  } finally {
    client.close();
  }
}

/** An uncompressed POSIX (ustar) archive; regular files are executable. */
export function tarOf(files: Record<string, ImageFile>): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder();
  const blocks: Uint8Array[] = [];
  for (const [path, file] of Object.entries(files)) {
    const bytes = typeof file === "string"
      ? encoder.encode(file)
      : file instanceof Uint8Array
      ? file
      : new Uint8Array();
    const link = typeof file === "object" && "link" in file ? file.link as string : undefined;
    blocks.push(tarHeader(path, bytes.byteLength, link), bytes);
    blocks.push(new Uint8Array((512 - bytes.byteLength % 512) % 512));
  }
  blocks.push(new Uint8Array(1024));
  return concat(...blocks);
}

function tarHeader(path: string, size: number, link: string | undefined): Uint8Array {
  const header = new Uint8Array(512);
  const put = (text: string, offset: number) => header.set(new TextEncoder().encode(text), offset);
  const octal = (value: number, width: number) => value.toString(8).padStart(width - 1, "0") + "\0";
  put(path, 0);
  put(octal(0o755, 8) + octal(0, 8) + octal(0, 8) + octal(size, 12) + octal(0, 12), 100);
  put(" ".repeat(8) + (link === undefined ? "0" : "2") + (link ?? ""), 148);
  put("ustar\0" + "00", 257);
  put(octal(header.reduce((sum, byte) => sum + byte, 0), 7) + " ", 148);
  return header;
}

function splitTag(reference: string): { name: string; tag: string } {
  const colon = reference.lastIndexOf(":");
  if (colon <= reference.lastIndexOf("/")) throw new Error(`${reference} needs an explicit tag`);
  return { name: reference.slice(0, colon), tag: reference.slice(colon + 1) };
}
