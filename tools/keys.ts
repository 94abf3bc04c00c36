// What each key of the config is for, in a sentence or two. What a key accepts and its default come from the schema itself;
// tools/docs.ts puts the two together and fails when a key has no sentence, or a sentence no key.

/** Dotted key of the config -> its purpose. HOST and ORIGIN stand for any key of a mapping. */
export const PURPOSES: Readonly<Record<string, string>> = {
  "kubelet.url":
    "Where the kubelet of this host is. The host must be a name in the kubelet's serving certificate, usually the node's " +
    "name; the port must be written. `{hostname}` in it is this host's name, in lower case as the kubelet registers it, so " +
    "that one config serves a whole fleet. `http://` is accepted for the read-only port, which takes no credentials.",
  "kubelet.caFile": "What signed the kubelet's serving certificate. A self-signed kubelet's own certificate " +
    "(a copy of `/var/lib/kubelet/pki/kubelet.crt`) serves as well. Without it the system's authorities are trusted.",
  "kubelet.certFile": "Gilly's client certificate, signed by the kubelet's client CA. Read again whenever it changes.",
  "kubelet.keyFile": "The private key of that certificate, not encrypted. RSA, P-256, P-384 or Ed25519.",
  "kubelet.tokenFile":
    "A bearer token instead of a certificate, such as a service account's. Read again whenever it changes.",
  "docker.socket": "The Docker Engine's socket. A leading `unix://` may be left in.",
  "registries":
    "Which mirrors stand in for which registry: `ORIGIN: MIRROR` or `ORIGIN: [MIRROR, MIRROR]`, tried in order. An origin " +
    "is `host[:port]`, `host[:port]/path`, `*.host` or `*`; the longest that matches wins, is removed from the name, and " +
    "what remains is appended to the mirror. `{registry}` in a mirror's path is the host that the image came from. " +
    "No rule, no repair. A mirror's own images are never rewritten.",
  "mirrors.HOST.authFile":
    "Credentials for this mirror in the form of Docker's config.json (`auths` with `auth`, `username` and `password`, or " +
    "`identitytoken`). It may appear later, and is read again whenever it changes. Credential helpers are refused: Gilly " +
    "runs no programs.",
  "mirrors.HOST.authPaths":
    "The paths below this mirror's host that are asked with those credentials, in the patterns of `exclude.images`: " +
    "`proxy/**`, `team/app`. Other paths are asked without any. Default: every path, so that whoever may create a pod " +
    "can run whatever the account may see.",
  "mirrors.HOST.maxConcurrentPulls": "Pulls that this mirror gets at once. Default 4.",
  "exclude.images":
    "Images to leave alone, as patterns on the normalised name: `*` is any run of characters but `/`, `**` any run at all. " +
    "Without a tag every tag matches; a host alone, or a path that ends in `/`, is everything below.",
  "exclude.namespaces": "Namespaces to leave alone; `*` is any run of characters.",
  "keep":
    "Images to hold present always, such as the sandbox image, whose absence never shows as ErrImagePull. Looked at when " +
    "Gilly starts, when the Engine comes back or removes an image, and every five minutes.",
  "repair.mode":
    "`on-failure` repairs what the kubelet has failed to pull. `eager` also repairs containers that wait to be created " +
    "and whose image is absent, before the kubelet's own attempt has timed out.",
  "repair.concurrency": "Pulls at once over all mirrors.",
  "repair.backoff.initial": "The pause after the first failure of an image; it doubles with each further one.",
  "repair.backoff.max":
    "The longest pause. Images that no mirror has, and mirrors that want other credentials, are tried up to six times " +
    "more rarely.",
  "repair.noProgress": "A pull that shows no progress for so long is given up and tried again later.",
  "repair.onDigestChange":
    "What to do when a mirror serves other contents than last time on this node under the same tag: `warn` and use them, " +
    "or `refuse`.",
  "poll.interval": "The pause between looks at the pods while the Engine's events do not arrive.",
  "poll.safety": "The same while they do: an event makes Gilly look at once, and this is the net below.",
  "poll.jitter": "The share of the pause by which it may differ, so that a fleet does not move in step.",
  "ledger.file":
    "Where a line is kept about everything that was repaired or refused. Not below `/etc`, `/usr` and the system's other " +
    "folders, and no link; its folder may be one.",
  "ledger.maxSize": "A ledger that has grown past this is renamed to `FILE.1`, and older ones to `.2` and so on.",
  "ledger.keep": "How many of those older files are kept; `gilly history` reads them all as one.",
  "metrics.listen":
    "Where Prometheus finds `/metrics` and `/healthz`: `PORT` or `:PORT` on loopback, or `ADDRESS:PORT`.",
  "metrics.textfile":
    "The same metrics as a file for node_exporter's textfile collector, replaced atomically; no port is opened for it. " +
    "Not below `/etc`, `/usr` and the system's other folders.",
  "logging.level": "The least severe entries that are written.",
  "logging.format": "`text`, or `json` for one object a line.",
};
