// Cases of what a mirror has under the name: what no runtime can run, what is not whole, and what a
// runtime cannot unpack.

import { type Case, classicStore, headersAlone, IMAGE, mirrorCase, type Scene } from "./case.ts";
import {
  artifact,
  indexFor,
  layersOf,
  manifestOf,
  noArchive,
  otherDiffId,
  schema1,
  stockOf,
  truncatedGzip,
  truncatedTar,
  TYPES,
  wholeImage,
  withPaths,
  zstdCalledGzip,
  zstdImage,
} from "./images.ts";
import { plain, refusing, startMirror } from "./mirror.ts";
import { rawServer } from "./raw_server.ts";

const UNKNOWN_BLOB = refusing(404, "BLOB_UNKNOWN", "blob unknown to registry");

/** A current containerd keeps whatever it can fetch. */
const ARTIFACTS: Pick<Case, "except"> = {
  except: { "docker-28-containerd": "pulled", "containerd-2.1": "pulled" },
};

const UNSUPPORTED: readonly Case[] = [
  mirrorCase("an index for arm64 alone", "wrong-platform", {
    stock: () => indexFor([{ os: "linux", architecture: "arm64", variant: "v8" }]),
  }),
  mirrorCase("an index for Windows alone", "wrong-platform", {
    stock: () => indexFor([{ os: "windows", architecture: "amd64", "os.version": "10.0.17763.1" }]),
  }),
  mirrorCase("an index without images", "wrong-platform", { stock: () => indexFor([]) }),
  mirrorCase("an index that the accepted types leave out", "unsupported-image", {
    answers: {
      manifest: refusing(
        404,
        "MANIFEST_UNKNOWN",
        "OCI index found, but accept header does not support OCI indexes",
      ),
    },
  }, { except: headersAlone("not-found") }),
  mirrorCase("a manifest that the accepted types leave out", "unsupported-image", {
    answers: {
      manifest: refusing(
        404,
        "MANIFEST_UNKNOWN",
        "OCI manifest found, but accept header does not support OCI manifests",
      ),
    },
  }, { except: headersAlone("not-found") }),
  mirrorCase("a Helm chart", "unsupported-image", {
    stock: () =>
      artifact("application/vnd.cncf.helm.config.v1+json", "application/vnd.cncf.helm.chart.content.v1.tar+gzip"),
  }, ARTIFACTS),
  mirrorCase("a signature of cosign", "unsupported-image", {
    stock: () => artifact(TYPES.ociConfig, "application/vnd.dev.cosign.simplesigning.v1+json"),
  }, ARTIFACTS),
  mirrorCase("an artifact with an empty configuration", "unsupported-image", {
    stock: () =>
      artifact("application/vnd.oci.empty.v1+json", "application/vnd.example.data", {
        artifactType: "application/vnd.example.thing",
      }),
  }, ARTIFACTS),
  mirrorCase("a WebAssembly module", "unsupported-image", {
    stock: () => artifact("application/vnd.wasm.config.v0+json", "application/wasm"),
  }, ARTIFACTS),
  mirrorCase("a manifest of schema 1", "unsupported-image", { stock: () => schema1("schema 1") }),
  mirrorCase("a manifest of an unknown media type", "unsupported-image", {
    stock: () => manifestOf({ schemaVersion: 2 }, "application/vnd.example.manifest+json"),
  }),
  mirrorCase("a manifest that is not JSON", "unsupported-image", {
    stock: () => manifestOf("{", TYPES.manifest),
  }),
  mirrorCase("a configuration that is not JSON", "unsupported-image", {
    stock: async () => {
      const layers = await layersOf([{ "made-for": "a configuration that is not JSON" }]);
      return await stockOf({ layers, config: "no configuration" });
    },
  }),
  mirrorCase("a configuration without layers", "unsupported-image", {
    stock: async () => {
      const layers = await layersOf([{ "made-for": "a configuration without layers" }]);
      return await stockOf({
        layers,
        config: { architecture: "amd64", os: "linux", rootfs: { type: "layers", diff_ids: [] } },
      });
    },
  }),
  mirrorCase("a configuration for arm64", "pulled", {
    stock: () => imageFor("a configuration for arm64", { architecture: "arm64", os: "linux" }),
  }),
  mirrorCase("a configuration for Windows", "wrong-platform", {
    stock: () => imageFor("a configuration for Windows", { architecture: "amd64", os: "windows" }),
  }, { except: { "docker-28-containerd": "pulled", "containerd-1.6": "pulled", "containerd-2.1": "pulled" } }),
];

/** What comes is not what the manifest names. */
const INCOMPLETE: readonly Case[] = [
  mirrorCase("a layer that the mirror lacks", "incomplete-image", { answers: { layer: UNKNOWN_BLOB } }),
  mirrorCase("a layer that the mirror lacks, without a body", "incomplete-image", { answers: { layer: plain(404) } }),
  mirrorCase("a configuration that the mirror lacks", "incomplete-image", { answers: { config: UNKNOWN_BLOB } }),
  mirrorCase("an image of the index that the mirror lacks", "incomplete-image", {
    stock: () => indexFor([{ os: "linux", architecture: "amd64" }]),
    answers: {
      manifest: ({ url }, normal) => {
        const { pathname } = new URL(url);
        const response = normal();
        const isIndex = pathname.endsWith("/1") || pathname.endsWith(response.headers.get("Docker-Content-Digest")!);
        return isIndex ? response : refusing(404, "MANIFEST_UNKNOWN", "manifest unknown")();
      },
    },
  }),
  mirrorCase("a layer of another digest", "incomplete-image", {
    answers: { layer: (_request, normal) => changed(normal()) },
  }),
  mirrorCase("a configuration of another digest", "incomplete-image", {
    answers: { config: (_request, normal) => changed(normal()) },
  }),
  mirrorCase("a manifest of another digest", "registry-error", {
    answers: {
      manifest: (_request, normal) => {
        const response = normal();
        response.headers.set("Docker-Content-Digest", `sha256:${"0".repeat(64)}`);
        return response;
      },
    },
  }, { except: classicStore("pulled") }),
  // containerd says the same of a layer that is too short, so it is not taken for a broken connection.
  {
    name: "a layer that breaks off",
    kind: "registry-error",
    open: () => brokenOff(),
  },
  mirrorCase("a layer that is in a storage which refuses connections", "registry-error", {
    answers: { layer: () => new Response(null, { status: 307, headers: { Location: "http://127.0.0.1:1/layer" } }) },
  }),
  mirrorCase("a layer that is in a storage which refuses", "denied", {
    answers: {
      layer: ({ url }) =>
        new URL(url).pathname.endsWith("/storage")
          ? plain(403, "<Error><Code>AccessDenied</Code></Error>")()
          : new Response(null, { status: 307, headers: { Location: `${new URL(url).origin}/storage` } }),
    },
  }),
  mirrorCase("a layer that is too short", "registry-error", {
    answers: {
      layer: async (_request, normal) => {
        const bytes = await normal().arrayBuffer();
        return new Response(bytes.slice(0, bytes.byteLength / 2));
      },
    },
  }, { except: classicStore("incomplete-image") }),
];

/** An image whose configuration is for this platform. */
async function imageFor(name: string, platform: { readonly architecture: string; readonly os: string }) {
  const layers = await layersOf([{ "made-for": name }]);
  const diffIds = layers.map(({ diffId }) => diffId);
  return await stockOf({ layers, config: { ...platform, rootfs: { type: "layers", diff_ids: diffIds } } });
}

async function changed(response: Response): Promise<Response> {
  const bytes = new Uint8Array(await response.arrayBuffer());
  bytes[bytes.byteLength - 1]! ^= 0xff;
  return new Response(bytes, response);
}

/** A mirror that leads to a server which sends half of the layer. Deno's own drops what it has not sent yet. */
async function brokenOff(): Promise<Scene> {
  const stock = await wholeImage("a layer that breaks off", 100_000);
  const layer = [...stock.blobs].find(([digest]) => digest !== stock.configDigest)![1];
  const size = layer.byteLength;
  const storage = rawServer(async (connection) => {
    const buffer = new Uint8Array(4096);
    const count = await connection.read(buffer) ?? 0;
    // An Engine asks for the rest once.
    const [, from] = /range: bytes=(\d+)-/i.exec(new TextDecoder().decode(buffer.subarray(0, count))) ?? [];
    const head = from === undefined
      ? `200 OK\r\nContent-Length: ${size}`
      : `206 Partial Content\r\nContent-Range: bytes ${from}-${size - 1}/${size}\r\nContent-Length: ${
        size - Number(from)
      }`;
    await connection.write(new TextEncoder().encode(`HTTP/1.1 ${head}\r\nConnection: close\r\n\r\n`));
    if (from === undefined) await connection.write(layer.subarray(0, 50_000));
    await connection.closeWrite();
  });
  const Location = `http://127.0.0.1:${storage.port}/half`;
  const mirror = startMirror(stock, { layer: () => new Response(null, { status: 307, headers: { Location } }) });
  return {
    reference: `127.0.0.1:${mirror.port}/${IMAGE}`,
    async [Symbol.asyncDispose]() {
      await mirror[Symbol.asyncDispose]();
      await storage[Symbol.asyncDispose]();
    },
  };
}

/** Only an old Engine does not know it. */
const ZSTANDARD: Pick<Case, "except"> = {
  except: {
    "docker-28": "pulled",
    "docker-28-containerd": "pulled",
    "containerd-1.6": "pulled",
    "containerd-2.1": "pulled",
  },
};

/** The digests are right, so it is not the mirror's fault. */
const UNPACKING: readonly Case[] = [
  mirrorCase("a layer whose archive is truncated", "cannot-unpack", { stock: () => truncatedTar("truncated archive") }),
  mirrorCase("a layer that is truncated", "cannot-unpack", { stock: () => truncatedGzip("truncated") }),
  mirrorCase("a layer that is not an archive", "cannot-unpack", { stock: () => noArchive("a text") }),
  mirrorCase("a layer that is not what the configuration states", "cannot-unpack", {
    stock: () => otherDiffId("another one"),
  }, { except: classicStore("unsupported-image") }),
  mirrorCase("a Zstandard layer", "cannot-unpack", { stock: () => zstdImage("zstd") }, ZSTANDARD),
  mirrorCase("a Zstandard layer with gzip's media type", "cannot-unpack", {
    stock: () => zstdCalledGzip("zstd, called gzip"),
  }, ZSTANDARD),
  mirrorCase("a layer with a path outside", "cannot-unpack", {
    stock: () => withPaths({ "../../outside": "a path outside" }),
  }, {
    except: {
      "docker-20.10": "pulled",
      "docker-28-containerd": "pulled",
      "containerd-1.6": "pulled",
      "containerd-2.1": "pulled",
    },
  }),
  mirrorCase("more layers than fit over one another", "cannot-unpack", {
    stock: async () =>
      stockOf({ layers: await layersOf(Array.from({ length: 130 }, (_, at) => ({ [`${at}`]: "deep" }))) }),
  }, { except: { "docker-28-containerd": "pulled", "containerd-1.6": "pulled", "containerd-2.1": "pulled" } }),
  mirrorCase("a layer with a path below a file", "cannot-unpack", {
    stock: () => withPaths({ "file": "a path below a file", "file/below": "x" }),
  }),
];

/** Cases of content. */
export const CONTENT_CASES: readonly Case[] = [...UNSUPPORTED, ...INCOMPLETE, ...UNPACKING];
