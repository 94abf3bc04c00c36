// The fake containerd's answers to calls that it answers at once. Messages and statuses are those of
// containerd 1.6.

import { Content } from "../../lib/runtime/containerd/messages/content_pb.ts";
import {
  ImageService,
  type ImageStatusRequest,
  RuntimeService,
  type StatusRequest,
} from "../../lib/runtime/containerd/messages/cri_pb.ts";
import {
  type CreateImageRequest,
  type GetImageRequest,
  Images,
} from "../../lib/runtime/containerd/messages/images_pb.ts";
import { type ListSnapshotsRequest, Snapshots } from "../../lib/runtime/containerd/messages/snapshots_pb.ts";
import type { ContainerdImages, ImageRecord } from "./containerd_images.ts";
import type { Ingest } from "./containerd_pull.ts";
import { answer, GrpcStatus } from "./containerd_wire.ts";

/** RuntimeService/Version. */
export function versionAnswer(runtimeVersion: string): Response {
  const version = { version: "0.1.0", runtimeName: "containerd", runtimeVersion, runtimeApiVersion: "v1" };
  return answer(RuntimeService.method.version.output, version);
}

/** RuntimeService/Status: the config is shown on request, as JSON. */
export function runtimeStatusAnswer({ verbose }: StatusRequest, config: unknown): Response {
  return answer(RuntimeService.method.status.output, { info: verbose ? { config: JSON.stringify(config) } : {} });
}

/** Snapshots/List of the layers that are being unpacked; the fake has no other snapshots. */
export function snapshotsAnswer({ snapshotter }: ListSnapshotsRequest, unpacking: Iterable<string>): Response {
  if (snapshotter !== "overlayfs") throw new GrpcStatus(3, `snapshotter not loaded: ${snapshotter}: invalid argument`);
  return answer(Snapshots.method.list.output, { info: [...unpacking].map((name) => ({ name })) });
}

/** ImageService/ImageStatus: an absent image, and what cannot be one, is an empty answer. */
export function statusAnswer(images: ContainerdImages, { image }: ImageStatusRequest): Response {
  const found = images.status(image?.image ?? "");
  return answer(ImageService.method.imageStatus.output, found === undefined ? {} : { image: found });
}

/** Images/Get: a name is found exactly as it is spelled. */
export function getAnswer(images: ContainerdImages, { name }: GetImageRequest): Response {
  const record = images.get(name);
  if (record === undefined) throw new GrpcStatus(5, `image ${JSON.stringify(name)}: not found`);
  return answer(Images.method.get.output, { image: shown(record) });
}

/** Images/List. */
export function listAnswer(images: ContainerdImages): Response {
  return answer(Images.method.list.output, { images: images.list().map(shown) });
}

/** Images/Create: any name, also of content that is not there, but none that exists. */
export function createAnswer(
  images: ContainerdImages,
  { image }: CreateImageRequest,
  requireNamespace: () => void,
): Response {
  const name = image?.name ?? "";
  if (name === "") throw new GrpcStatus(3, "Image.Name required");
  requireNamespace();
  const { mediaType = "", digest = "", size = 0n } = image?.target ?? {};
  if (!/^sha256:[0-9a-f]{64}$/.test(digest)) {
    const why = "invalid checksum digest format: invalid argument";
    throw new GrpcStatus(3, `Target.Digest ${JSON.stringify(digest)} invalid: ${why}`);
  }
  if (size <= 0n) throw new GrpcStatus(3, "Target.Size must be greater than zero: invalid argument");
  if (images.get(name) !== undefined) throw new GrpcStatus(6, `image ${JSON.stringify(name)}: already exists`);
  const record = { name, labels: image?.labels ?? {}, target: { mediaType, digest, size } };
  images.put(name, record.target, record.labels);
  return answer(Images.method.create.output, { image: shown(record) });
}

/** Content/ListStatuses. */
export function statusesAnswer(ingests: Iterable<Ingest>): Response {
  const statuses = [...ingests].map(({ ref, offset, total }) => ({ ref, offset, total }));
  return answer(Content.method.listStatuses.output, { statuses });
}

function shown({ name, labels, target }: ImageRecord) {
  return { name, labels: { ...labels }, target };
}
