// Every key of the config file, declared once: the values that it takes, its default, the file that it names, and what it
// is for. Defaults, checks, the page of all keys and the manual follow from here. Pure.

import * as z from "zod/mini";
import { choice, duration, key, list, mapping, number, section, size, text } from "./schema.ts";
import * as values from "./values.ts";

/** Where the ledger is unless the config says otherwise. */
export const DEFAULT_LEDGER = "/var/lib/gilly/ledger.jsonl";

/** The kubelet's settings that name files, and what each of those holds. */
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
    purpose: "What signed the kubelet's serving certificate. A self-signed kubelet's own certificate " +
      "(a copy of `/var/lib/kubelet/pki/kubelet.crt`) serves as well. Without it the system's authorities are trusted.",
  }),
  certFile: key(z.optional(path("a PEM file")), {
    file: KUBELET_FILES.certFile,
    purpose: "Gilly's client certificate, signed by the kubelet's client CA. Read again whenever it changes.",
  }),
  keyFile: key(z.optional(path("a PEM file")), {
    file: KUBELET_FILES.keyFile,
    purpose: "The private key of that certificate, not encrypted. RSA, P-256, P-384 or Ed25519.",
  }),
  tokenFile: key(z.optional(path("a file that holds a token")), {
    file: KUBELET_FILES.tokenFile,
    purpose: "A bearer token instead of a certificate, such as a service account's. Read again whenever it changes.",
  }),
});

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
  authFile: key(z.nullish(path("a file in the form of Docker's config.json")), {
    file: "credentials",
    purpose:
      "Credentials for this mirror in the form of Docker's config.json (`auths` with `auth`, `username` and `password`, or " +
      "`identitytoken`). It may appear later, and is read again whenever it changes. Credential helpers are refused: Gilly " +
      "runs no programs.",
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
        "`proxy/**`, `team/app`. Other paths are asked without any. Default: every path, so that whoever may create a pod " +
        "can run whatever the account may see.",
    },
  ),
  maxConcurrentPulls: key(z.nullish(number(1, 64, "a whole number")), {
    purpose: "Pulls that this mirror gets at once. Default 4.",
  }),
});

const REPAIR = section({
  mode: key(choice(["on-failure", "eager"]), {
    fallback: "on-failure",
    purpose:
      "`on-failure` repairs what the kubelet has failed to pull. `eager` also repairs containers that wait to be created " +
      "and whose image is absent, before the kubelet's own attempt has timed out.",
  }),
  concurrency: key(number(1, 64, "a whole number"), { fallback: 8, purpose: "Pulls at once over all mirrors." }),
  backoff: section({
    initial: key(duration("100ms", "1h"), {
      fallback: "10s",
      purpose: "The pause after the first failure of an image; it doubles with each further one.",
    }),
    max: key(duration("1s", "24h"), {
      fallback: "5m",
      purpose:
        "The longest pause. Images that no mirror has, and mirrors that want other credentials, are tried up to six times " +
        "more rarely.",
    }),
  }),
  noProgress: key(duration("1s", "1h"), {
    fallback: "60s",
    purpose: "A pull that shows no progress for so long is given up and tried again later.",
  }),
  onDigestChange: key(choice(["warn", "refuse"]), {
    fallback: "warn",
    purpose:
      "What to do when a mirror serves other contents than last time on this node under the same tag: `warn` and use them, " +
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
      purpose: "Where Prometheus finds `/metrics` and `/healthz`: `PORT` or `:PORT` on loopback, or `ADDRESS:PORT`.",
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
        "Not below `/etc`, `/usr` and the system's other folders.",
    },
  ),
});

/** The whole file. */
export const SETTINGS = section({
  kubelet: KUBELET,
  docker: section({
    socket: key(
      z.pipe(text("the absolute path of a unix socket", values.mistakeInSocket), z.transform(values.withoutUnixScheme)),
      { fallback: "/var/run/docker.sock", purpose: "The Docker Engine's socket. A leading `unix://` may be left in." },
    ),
  }),
  registries: key(REGISTRIES, {
    purpose:
      "Which mirrors stand in for which registry: `ORIGIN: MIRROR` or `ORIGIN: [MIRROR, MIRROR]`, tried in order. An origin " +
      "is `host[:port]`, `host[:port]/path`, `*.host` or `*`; the longest that matches wins, is removed from the name, and " +
      "what remains is appended to the mirror. `{registry}` in a mirror's path is the host that the image came from. " +
      "No rule, no repair. A mirror's own images are never rewritten.",
  }),
  mirrors: mapping(z.pipe(z.transform((value) => value ?? {}), MIRROR), "the settings of mirrors, each under its host"),
  exclude: section({
    images: key(list(images, "a list of patterns"), {
      fallback: [],
      purpose:
        "Images to leave alone, as patterns on the normalised name: `*` is any run of characters but `/`, `**` any run at all. " +
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
      "Images to hold present always, such as the sandbox image, whose absence never shows as ErrImagePull. Looked at when " +
      "Gilly starts, when the Engine comes back or removes an image, and every five minutes.",
  }),
  repair: REPAIR,
  poll: section({
    interval: key(duration("1s", "1h"), {
      fallback: "5s",
      purpose: "The pause between looks at the pods while the Engine's events do not arrive.",
    }),
    safety: key(duration("1s", "1h"), {
      fallback: "60s",
      purpose: "The same while they do: an event makes Gilly look at once, and this is the net below.",
    }),
    jitter: key(number(0, 1, "a number"), {
      fallback: 0.1,
      purpose: "The share of the pause by which it may differ, so that a fleet does not move in step.",
    }),
  }),
  ledger: section({
    file: key(path("a file that Gilly may write"), {
      fallback: DEFAULT_LEDGER,
      file: "written",
      purpose:
        "Where a line is kept about everything that was repaired or refused. Not below `/etc`, `/usr` and the system's other " +
        "folders, and no link; its folder may be one.",
    }),
    maxSize: key(size("4KiB", "1GiB"), {
      fallback: "10MiB",
      purpose: "A ledger that has grown past this is renamed to `FILE.1`, and older ones to `.2` and so on.",
    }),
    keep: key(number(1, 100, "a whole number"), {
      fallback: 5,
      purpose: "How many of those older files are kept; `gilly history` reads them all as one.",
    }),
  }),
  metrics: METRICS,
  logging: section({
    level: key(choice(["debug", "info", "warning", "error"]), {
      fallback: "info",
      purpose: "The least severe entries that are written.",
    }),
    format: key(choice(["text", "json"]), { fallback: "text", purpose: "`text`, or `json` for one object a line." }),
  }),
});

/** The checked values of the file, with defaults, in YAML's spelling; durations are seconds, sizes bytes. */
export type Settings = z.output<typeof SETTINGS>;
