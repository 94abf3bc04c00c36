// Declares every key of the config file once: the values that it accepts, its default, the kind of
// file that it names, and its purpose. The defaults, the checks, the page of all keys and the
// manual are derived from this. Pure.

import * as z from "zod/mini";
import type { RuntimeKind } from "../runtime/open.ts";
import { choice, duration, key, list, mapping, number, section, size, text } from "./schema.ts";
import * as values from "./values.ts";

/** The default path of the ledger. */
export const DEFAULT_LEDGER = "/var/lib/gilly/ledger.jsonl";

/** The default path of the registry proxy's ledger. */
export const DEFAULT_PROXY_LEDGER = "/var/lib/gilly-proxy/ledger.jsonl";

/** The kubelet settings that name files, and what each file contains. */
export const KUBELET_FILES = {
  caFile: "certificate",
  certFile: "certificate",
  keyFile: "key",
  tokenFile: "token",
} as const;

const path = (of: string) => text(`the path of ${of}`, values.mistakeInPath);
const images = text("a pattern of images such as quay.io/team/*", values.mistakeInPattern);

const KUBELET = section({
  url: key(text("https://HOST:PORT, the kubelet of this host", values.mistakeInKubeletUrl), {
    purpose:
      "Where the kubelet of this host is. The host must be a name in the kubelet's serving certificate, usually the node's " +
      "name; the port must be written. `{hostname}` in it is this host's name, in lower case as the kubelet registers it, so " +
      "that one config serves a whole fleet. `http://` is accepted for the read-only port, which takes no credentials.",
  }),
  caFile: key(z.optional(path("a PEM file")), {
    file: KUBELET_FILES.caFile,
    purpose:
      "The CA of the kubelet's serving certificate, or a copy of the certificate itself where the kubelet signed its own " +
      "(`/var/lib/kubelet/pki/kubelet.crt`). Without it the system's CAs are trusted.",
  }),
  certFile: key(z.optional(path("a PEM file")), {
    file: KUBELET_FILES.certFile,
    purpose: "Gilly's client certificate, signed by the kubelet's client CA. Reloaded whenever it changes.",
  }),
  keyFile: key(z.optional(path("a PEM file")), {
    file: KUBELET_FILES.keyFile,
    purpose: "The private key of that certificate, not encrypted. RSA of 2048 to 8192 bits, P-256, P-384 or Ed25519.",
  }),
  tokenFile: key(z.optional(path("a file that holds a token")), {
    file: KUBELET_FILES.tokenFile,
    purpose: "A bearer token instead of a certificate, such as a service account's. Reloaded whenever it changes.",
  }),
});

const socketOf = (runtime: RuntimeKind) =>
  z.pipe(
    text("the absolute path of a unix socket", (value) => values.mistakeInSocket(value, runtime)),
    z.transform(values.withoutUnixScheme),
  );

const MIRRORS_OF_ORIGIN = z.pipe(
  z.transform((value) => typeof value === "string" ? [value] : value),
  list(text("a mirror such as mirror.example/path", values.mistakeInMirrorName), "a mirror or a list of mirrors")
    .check(z.minLength(1, { error: "is an empty list; expected at least one mirror" })),
);

const REGISTRIES = mapping(MIRRORS_OF_ORIGIN, "at least one origin and its mirror, such as gcr.io: mirror.example")
  .check(z.refine((rules) => Object.keys(rules).length > 0, {
    error: "is empty; expected at least one origin and its mirror, such as gcr.io: mirror.example",
  }));

const MIRROR = section({
  authFile: key(z.nullish(path("a file in the format of Docker's config.json")), {
    file: "credentials",
    purpose:
      "Credentials for this mirror in the format of Docker's config.json (`auths` with `auth`, `username` and `password`, or " +
      "`identitytoken`). A key of `auths` may end in a path, as in containers-auth.json(5): `HOST/team` is used for the " +
      "images below it alone, and the longest path wins. It may appear later, and is reloaded whenever it changes. " +
      "Credential helpers are refused: Gilly runs no programs.",
  }),
  authPaths: key(
    z.nullish(
      list(text("a pattern of paths such as proxy/**", values.mistakeInPathPattern), "a list of patterns").check(
        z.minLength(1, { error: "is an empty list; expected at least one pattern such as proxy/**" }),
      ),
    ),
    {
      purpose:
        "The paths below this mirror's host that are asked with those credentials, in the patterns of `exclude.images`: " +
        "`proxy/**`, `team/app`. Other paths are asked without any. Default: every path, so that whoever can create a pod " +
        "can run whatever the account can read.",
    },
  ),
  maxConcurrentPulls: key(z.nullish(number(1, 64, "a whole number")), {
    purpose: "Concurrent pulls from this mirror. Default 4.",
  }),
});

const REPAIR = section({
  mode: key(choice(["on-failure", "eager"]), {
    fallback: "on-failure",
    purpose:
      "`on-failure` repairs what the kubelet has failed to pull. `eager` also repairs containers that wait to be created " +
      "and whose image is absent, before the kubelet's own attempt has timed out.",
  }),
  concurrency: key(number(1, 64, "a whole number"), { fallback: 8, purpose: "Concurrent pulls over all mirrors." }),
  backoff: section({
    initial: key(duration("100ms", "1h"), {
      fallback: "10s",
      purpose: "The pause after the first failure of an image; it doubles with each further one.",
    }),
    max: key(duration("1s", "24h"), {
      fallback: "5m",
      purpose:
        "The longest pause. Images that no mirror has, and mirrors that reject the credentials, are retried up to six times " +
        "less often.",
    }),
  }),
  noProgress: key(duration("1s", "1h"), {
    fallback: "60s",
    purpose: "A pull without progress for this long is given up and retried later.",
  }),
  onDigestChange: key(choice(["warn", "refuse"]), {
    fallback: "warn",
    purpose:
      "What to do when a mirror serves different contents under a tag than it last did on this node: `warn` and use them, " +
      "or `refuse`.",
  }),
});

const METRICS = section({
  listen: key(
    z.pipe(
      z.custom<string | number>((value) => values.mistakeInListen(value) === undefined, {
        error: ({ input }) => values.mistakeInListen(input),
      }),
      z.transform((value: string | number) => values.listenAddressOf(value)),
    ),
    {
      fallback: values.OFF,
      purpose: "Where `/metrics` and `/healthz` are served: `PORT` or `:PORT` on loopback, or `ADDRESS:PORT`.",
    },
  ),
  textfile: key(
    z.pipe(
      text("off, or the path of a file that ends in .prom", values.mistakeInTextfile),
      z.transform((value) => value === values.OFF ? undefined : value),
    ),
    {
      fallback: values.OFF,
      file: "written",
      purpose:
        "The same metrics as a file for node_exporter's textfile collector, replaced atomically; no port is opened for it. " +
        "Not below `/etc`, `/usr` and the other system folders.",
    },
  ),
});

const PROXY = section({
  hosts: key(
    z.nullish(list(text("the host of a registry such as gcr.io", values.mistakeInProxyHost), "a list of hosts")),
    {
      purpose:
        "The registries that the redirect leads to the proxy. Default: each origin in `registries` that is a host without a " +
        "port, a path or a pattern, but docker.io.",
    },
  ),
  listen: key(
    z.pipe(
      z.custom<string | number>((value) => values.mistakeInProxyListen(value) === undefined, {
        error: ({ input }) => values.mistakeInProxyListen(input),
      }),
      z.transform((value: string | number) => values.listenAddressOf(value)!),
    ),
    { fallback: "127.0.0.1:12443", purpose: "Where the proxy serves this host, over TLS. Never open to other hosts." },
  ),
  address: key(text("an IPv4 address", values.mistakeInProxyAddress), {
    fallback: "169.254.77.7",
    purpose:
      "The address that stands for `hosts` in `/etc/hosts`; the redirect leads its port 443 to `listen`. No interface " +
      "needs to have it.",
  }),
  certFile: key(path("a PEM file"), {
    fallback: "/etc/gilly/proxy.crt",
    purpose:
      "The proxy's certificate for all `hosts`. `gilly-redirect` makes and renews it; reloaded whenever it changes.",
  }),
  keyFile: key(path("a PEM file"), {
    fallback: "/etc/gilly/proxy.key",
    purpose: "The private key of that certificate.",
  }),
  stallTimeout: key(duration("1s", "10m"), {
    fallback: "30s",
    purpose: "A mirror that sends nothing of a layer for this long, or a thousandth of what it sent before, is given " +
      "up, and the next one continues at the same byte.",
  }),
  headersTimeout: key(duration("100ms", "1m"), {
    fallback: "5s",
    purpose: "How long each mirror may take from the connection to the headers of its answer.",
  }),
  ledgerFile: key(path("a file that the proxy may write"), {
    fallback: DEFAULT_PROXY_LEDGER,
    file: "written",
    purpose:
      "The record of what the proxy served or refused. `gilly history` reads it as well; `ledger.maxSize` and `ledger.keep` " +
      "hold for it too.",
  }),
});

/** The schema of the complete file. */
export const SETTINGS = section({
  kubelet: KUBELET,
  docker: z.optional(section({
    socket: key(socketOf("docker"), {
      fallback: values.USUAL_SOCKETS.docker,
      purpose:
        "The Docker Engine's socket. A leading `unix://` is accepted. A config with neither `docker` nor `containerd` has " +
        "`docker`. Not below `/etc`, `/usr` and the other system folders.",
    }),
  })),
  containerd: z.optional(section({
    socket: key(socketOf("containerd"), {
      fallback: values.USUAL_SOCKETS.containerd,
      purpose: "containerd's socket, on a worker whose kubelet uses containerd; that of k3s and rke2 is " +
        "`/run/k3s/containerd/containerd.sock`. Instead of `docker`. Not below the system folders either.",
    }),
  })),
  registries: key(REGISTRIES, {
    purpose:
      "Which mirrors serve which registry: `ORIGIN: MIRROR` or `ORIGIN: [MIRROR, MIRROR]`, tried in order. An origin " +
      "is `host[:port]`, `host[:port]/path`, `*.host` or `*`; the longest that matches wins, is removed from the name, and " +
      "what remains is appended to the mirror. `{registry}` in a mirror's path is the host that the image came from. " +
      "No rule, no repair. A mirror's own images are never rewritten.",
  }),
  mirrors: mapping(z.pipe(z.transform((value) => value ?? {}), MIRROR), "the settings of mirrors, each under its host"),
  exclude: section({
    images: key(list(images, "a list of patterns"), {
      fallback: [],
      purpose:
        "Images to leave alone, as patterns on the normalized name: `*` is any run of characters but `/`, `**` any run at all. " +
        "Without a tag every tag matches; a host alone, or a path that ends in `/`, is everything below.",
    }),
    namespaces: key(list(text("the name of a namespace", values.mistakeInNamespace), "a list of namespaces"), {
      fallback: [],
      purpose: "Namespaces to leave alone; `*` is any run of characters.",
    }),
  }),
  keep: key(list(text("an image reference", values.mistakeInReference), "a list of image references"), {
    fallback: [],
    purpose:
      "Images to keep present at all times, such as the sandbox image, whose absence never shows as ErrImagePull. Checked " +
      "when Gilly starts, when the runtime comes back or removes an image, and every five minutes.",
  }),
  repair: REPAIR,
  poll: section({
    interval: key(duration("1s", "1h"), {
      fallback: "5s",
      purpose: "The interval between passes while the runtime's events do not arrive.",
    }),
    safety: key(duration("1s", "1h"), {
      fallback: "60s",
      purpose:
        "The interval between passes while they do. An event starts a pass at once; this catches what events miss.",
    }),
    jitter: key(number(0, 1, "a number"), {
      fallback: 0.1,
      purpose: "The fraction by which each interval varies at random, so that a fleet of workers does not act in step.",
    }),
  }),
  ledger: section({
    file: key(path("a file that Gilly may write"), {
      fallback: DEFAULT_LEDGER,
      file: "written",
      purpose:
        "The record of everything that was repaired or refused, one line each. Not below `/etc`, `/usr` and the other system " +
        "folders, and not a symbolic link; its folder may be one.",
    }),
    maxSize: key(size("4KiB", "1GiB"), {
      fallback: "10MiB",
      purpose: "A ledger larger than this is renamed to `FILE.1`, and older ones to `.2` and so on.",
    }),
    keep: key(number(1, 100, "a whole number"), {
      fallback: 5,
      purpose: "How many rotated files are kept; `gilly history` reads all of them.",
    }),
  }),
  proxy: PROXY,
  metrics: METRICS,
  logging: section({
    level: key(choice(["debug", "info", "warning", "error"]), {
      fallback: "info",
      purpose: "The lowest level that is logged.",
    }),
    format: key(choice(["text", "json"]), { fallback: "text", purpose: "`text`, or `json` for one object per line." }),
  }),
});

/**
 * The checked values of the file, with defaults, in YAML's spelling. Durations are in seconds,
 * sizes in bytes.
 */
export type Settings = z.output<typeof SETTINGS>;
