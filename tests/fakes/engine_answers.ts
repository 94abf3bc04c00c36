// The fake Engine's answers to calls that it answers at once. Messages and statuses are those of
// Engine 20.10.

import { message } from "./engine_registries.ts";
import { type ImageStore, parseFakeReference } from "./image_store.ts";

/** The Engine to imitate. */
export interface EngineBuild {
  readonly imageStore?: "classic" | "containerd";
  readonly apiVersion?: string;
  readonly minApiVersion?: string;
  readonly version?: string;
}

/** Returns the refusal of an API version that this build does not speak, or undefined. */
export function versionRefusal(build: EngineBuild, version: string): Response | undefined {
  const { apiVersion = "1.41", minApiVersion = "1.12" } = build;
  const minor = (text: string) => Number(text.split(".")[1]);
  if (version === "") return undefined;
  if (minor(version) > minor(apiVersion)) {
    return message(400, `client version ${version} is too new. Maximum supported API version is ${apiVersion}`);
  }
  if (minor(version) >= minor(minApiVersion)) return undefined;
  const advice = "please upgrade your client to a newer version";
  const text = `client version ${version} is too old. Minimum supported API version is ${minApiVersion}, ${advice}`;
  return new Response(`${text}\n`, { status: 400 });
}

/** GET /info. */
export function infoOf({ imageStore, version = "20.10.24" }: EngineBuild): Record<string, unknown> {
  const isContainerd = imageStore === "containerd";
  return {
    ServerVersion: version,
    Driver: isContainerd ? "overlayfs" : "overlay2",
    DriverStatus: isContainerd
      ? [["driver-type", "io.containerd.snapshotter.v1"]]
      : [["Backing Filesystem", "extfs"], ["Supports d_type", "true"]],
  };
}

/** GET /images/{name}/json. */
export function inspectAnswer(store: ImageStore, name: string): Response {
  const isId = /^sha256:[0-9a-f]{64}$/.test(name);
  if (!isId && parseFakeReference(name) === undefined) {
    return message(400, `no such image: ${name}: invalid reference format`);
  }
  const image = store.inspect(name);
  if (image === undefined) return message(404, `no such image: ${name}: No such image: ${name}`);
  return Response.json({ ...image, Os: "linux", Architecture: "amd64" });
}

/** POST /images/{source}/tag. */
export function tagAnswer(store: ImageStore, source: string, repo: string, tag: string): Response {
  const image = store.resolve(source);
  if (image === undefined) return message(404, `No such image: ${source}`);
  const target = parseFakeReference(`${repo}:${tag}`);
  if (target === undefined || target.digest !== undefined || target.tag === undefined) {
    return message(500, tag === "" ? "invalid tag format" : "invalid reference format");
  }
  store.addTag(target, image);
  return new Response(null, { status: 201 });
}
