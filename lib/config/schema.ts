// What may stand in the config file: every key, its default, its bounds, and one plain sentence for every mistake.
// Pure: parsed YAML in, settings and mistakes out. It knows no lines and no files.

import * as z from "zod";
import { formatLocation, parseLocation } from "../images/location.ts";
import { mistakeInMirror, mistakeInOrigin } from "../images/rules.ts";
import { type Fields, isFields } from "../support/json.ts";
import { nearestWord } from "../support/text.ts";
import * as values from "./values.ts";
import { bytesOf, quoted, secondsOf } from "./values.ts";

/** A mistake and where it is; a path that ends in a key which does not exist says that it is missing. */
export interface SettingMistake {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** Every key of the file, in YAML's spelling, with its default; undefined where there is none. */
export const DEFAULTS = {
  kubelet: { url: undefined, caFile: undefined, certFile: undefined, keyFile: undefined, tokenFile: undefined },
  docker: { socket: "/var/run/docker.sock" },
  registries: undefined,
  mirrors: {},
  exclude: { images: [], namespaces: [] },
  keep: [],
  repair: {
    mode: "on-failure",
    concurrency: 8,
    backoff: { initial: "10s", max: "5m" },
    noProgress: "60s",
    onDigestChange: "warn",
  },
  poll: { interval: "5s", safety: "60s", jitter: 0.1 },
  ledger: { file: "/var/lib/gilly/ledger.jsonl", maxSize: "10MiB", keep: 5 },
  metrics: { listen: "off", textfile: "off" },
  logging: { level: "info", format: "text" },
} as const;

const MIRROR_KEYS = ["authFile", "authPaths", "maxConcurrentPulls"];

const path = (of: string) => text(`the path of ${of}`, values.mistakeInPath);

const KUBELET = section({
  url: text("https://HOST:PORT, the kubelet of this host", values.mistakeInKubeletUrl),
  caFile: z.optional(path("a PEM file")),
  certFile: z.optional(path("a PEM file")),
  keyFile: z.optional(path("a PEM file")),
  tokenFile: z.optional(path("a file that holds a token")),
});

const MIRRORS_OF_ORIGIN = z.preprocess(
  (value) => typeof value === "string" ? [value] : value,
  list(text("a mirror such as mirror.example/path", values.mistakeInMirrorName), "a mirror or a list of mirrors")
    .min(1, { error: "is an empty list; expected at least one mirror" }),
);

const MIRROR = z.preprocess(
  (value) => value ?? {},
  section({
    authFile: z.nullish(path("a file in the form of Docker's config.json")),
    authPaths: z.nullish(
      list(text("a pattern of paths such as proxy/**", values.mistakeInPathPattern), "a list of patterns")
        .min(1, { error: "is an empty list; expected at least one pattern such as proxy/**" }),
    ),
    maxConcurrentPulls: z.nullish(number(1, 64, "a whole number")),
  }),
);

const SETTINGS = section({
  kubelet: KUBELET,
  docker: section({
    socket: text("the absolute path of a unix socket", values.mistakeInSocket).transform(values.withoutUnixScheme),
  }),
  registries: mapping(MIRRORS_OF_ORIGIN, "at least one origin and its mirror, such as gcr.io: mirror.example")
    .refine((rules) => Object.keys(rules).length > 0, {
      error: "is empty; expected at least one origin and its mirror, such as gcr.io: mirror.example",
    }),
  mirrors: mapping(MIRROR, "the settings of mirrors, each under its host"),
  exclude: section({
    images: list(text("a pattern of images such as quay.io/team/*", values.mistakeInPattern), "a list of patterns"),
    namespaces: list(text("the name of a namespace", values.mistakeInNamespace), "a list of namespaces"),
  }),
  keep: list(text("an image reference", values.mistakeInReference), "a list of image references"),
  repair: section({
    mode: choice(["on-failure", "eager"]),
    concurrency: number(1, 64, "a whole number"),
    backoff: section({ initial: duration("100ms", "1h"), max: duration("1s", "24h") }),
    noProgress: duration("1s", "1h"),
    onDigestChange: choice(["warn", "refuse"]),
  }),
  poll: section({ interval: duration("1s", "1h"), safety: duration("1s", "1h"), jitter: number(0, 1, "a number") }),
  ledger: section({
    file: path("a file that Gilly may write"),
    maxSize: size("4KiB", "1GiB"),
    keep: number(1, 100, "a whole number"),
  }),
  metrics: section({
    listen: z.custom<string | number>((value) => values.mistakeInListen(value) === undefined, {
      error: ({ input }) => values.mistakeInListen(input),
    }).transform(values.listenAddressOf),
    textfile: text("off, or the path of a file that ends in .prom", values.mistakeInTextfile)
      .transform((value) => value === values.OFF ? undefined : value),
  }),
  logging: section({ level: choice(["debug", "info", "warning", "error"]), format: choice(["text", "json"]) }),
});

/** The checked values of the file, with defaults, in YAML's spelling; durations are seconds, sizes bytes. */
export type Settings = z.output<typeof SETTINGS>;

/** Checks a parsed YAML mapping. There are settings exactly when there is no mistake. */
export function checkSettings(
  document: Fields,
): { readonly settings: Settings | undefined; readonly mistakes: readonly SettingMistake[] } {
  const filled = withDefaults(document, DEFAULTS);
  const { data, error } = SETTINGS.safeParse(filled);
  const mistakes = (error?.issues ?? []).flatMap((issue) => mistakesOf(issue, filled));
  mistakes.push(...mistakesAcrossKeys(filled));
  return { settings: mistakes.length === 0 ? data : undefined, mistakes };
}

/** The value below `key`, if there is a mapping and it has the key itself. */
export function valueAt(value: unknown, key: string | number): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string | number, unknown>)[key]
    : undefined;
}

// --- building blocks ------------------------------------------------------------------------------------------------

function section<Shape extends z.core.$ZodShape>(shape: Shape) {
  return z.strictObject(shape, { error: (issue) => otherShape(issue, "a mapping of keys to values") });
}

function mapping<Value extends z.core.SomeType>(value: Value, expected: string) {
  return z.record(z.string(), value, { error: (issue) => otherShape(issue, expected) });
}

function list<Item extends z.core.SomeType>(item: Item, expected: string) {
  return z.array(item, { error: (issue) => otherShape(issue, expected) });
}

// A text in the place of a whole section may be anything, a password too: it is not repeated.
function otherShape({ code, input }: { readonly code: string; readonly input?: unknown }, expected: string) {
  if (code !== "invalid_type") return undefined;
  return typeof input === "string" ? `expected ${expected}, got a text` : unexpected(expected, input);
}

function text(expected: string, mistakeIn: (text: string) => string | undefined) {
  const mistakeInValue = (value: unknown) => {
    if (typeof value === "string") return mistakeIn(value);
    const unquoted = typeof value === "number" || typeof value === "boolean";
    return unexpected(expected, value) + (unquoted ? "; put it in quotes" : "");
  };
  return z.custom<string>((value) => mistakeInValue(value) === undefined, {
    error: ({ input }) => mistakeInValue(input),
  });
}

function choice<const Values extends readonly string[]>(values: Values) {
  const expected = values.join(", ").replace(/, (?=[^,]*$)/, " or ");
  return z.enum(values, { error: ({ input }) => unexpected(expected, input) });
}

function number(lowest: number, highest: number, kind: "a number" | "a whole number") {
  const fits = (value: unknown) =>
    typeof value === "number" && value >= lowest && value <= highest &&
    (kind === "a number" || Number.isInteger(value));
  const expected = `${kind} from ${lowest} to ${highest}`;
  return z.custom<number>(fits, { error: ({ input }) => unexpected(expected, input) });
}

function duration(shortest: string, longest: string) {
  const [lowest = 0, highest = 0] = [shortest, longest].map(secondsOf);
  const fits = (value: unknown) => {
    const seconds = secondsOf(value);
    return seconds !== undefined && seconds >= lowest && seconds <= highest;
  };
  const examples = ["500ms", "5s", "5m", "1h"].filter(fits).join(", ").replace(/, (?=[^,]*$)/, " or ");
  const expected = `a duration from ${shortest} to ${longest}, such as ${examples}`;
  return z.custom<string | number>(fits, { error: ({ input }) => unexpected(expected, input) })
    .transform((value) => secondsOf(value) ?? 0);
}

function size(smallest: string, largest: string) {
  const [lowest = 0, highest = 0] = [smallest, largest].map(bytesOf);
  const fits = (value: unknown) => {
    const bytes = bytesOf(value);
    return bytes !== undefined && bytes >= lowest && bytes <= highest;
  };
  const expected = `a size from ${smallest} to ${largest}, such as 512KiB or 10MiB`;
  return z.custom<string>(fits, { error: ({ input }) => unexpected(expected, input) })
    .transform((value) => bytesOf(value) ?? 0);
}

function withDefaults(value: unknown, defaults: unknown): unknown {
  if (value === undefined || value === null) return isFields(defaults) ? withDefaults({}, defaults) : defaults;
  if (!isFields(value) || !isFields(defaults)) return value;
  const filled = Object.entries(defaults).map(([key, below]) => [key, withDefaults(valueAt(value, key), below)]);
  return Object.fromEntries([...Object.entries(value), ...filled]);
}

// --- rules that join several keys -----------------------------------------------------------------------------------

// They look at the unchecked values, because zod skips rules of a whole section when one of its keys is wrong, and the
// operator is to see every mistake at once.
function mistakesAcrossKeys(filled: unknown): readonly SettingMistake[] {
  return [
    ...mistakesInCredentials(valueAt(filled, "kubelet")),
    ...mistakesInOrigins(valueAt(filled, "registries")),
    ...mistakesInMirrorHosts(valueAt(filled, "mirrors"), valueAt(filled, "registries")),
    ...mistakesInAuthPaths(valueAt(filled, "mirrors")),
    ...mistakesInBackoff(valueAt(valueAt(filled, "repair"), "backoff")),
  ];
}

function mistakesInCredentials(kubelet: unknown): readonly SettingMistake[] {
  if (!isFields(kubelet)) return [];
  const { url, certFile, keyFile, tokenFile } = kubelet;
  const given = ["caFile", "certFile", "keyFile", "tokenFile"].filter((key) => valueAt(kubelet, key) !== undefined);
  const at = (key: string, message: string) => ({ path: ["kubelet", key], message });
  if (/^http:/i.test(String(url))) {
    const advice = "has no use with http://, the read-only port: remove it, or write https:// in kubelet.url";
    return given.map((key) => at(key, advice));
  }
  if (certFile !== undefined && keyFile === undefined) return [at("certFile", "needs its private key: add keyFile")];
  if (keyFile !== undefined && certFile === undefined) return [at("keyFile", "needs its certificate: add certFile")];
  if (tokenFile !== undefined && certFile !== undefined) {
    return [at("tokenFile", "stands beside certFile and keyFile; keep either the certificate or the token")];
  }
  if (tokenFile !== undefined || certFile !== undefined || typeof url !== "string") return [];
  return [{ path: ["kubelet"], message: "has no credentials; expected certFile and keyFile, or tokenFile" }];
}

function mistakesInOrigins(registries: unknown): readonly SettingMistake[] {
  if (!isFields(registries)) return [];
  const seen = new Map<string, string>();
  return Object.keys(registries).flatMap((origin) => {
    const mistake = mistakeInOrigin(origin);
    const canonical = mistake === undefined ? formatLocation(parseLocation(origin)) : origin;
    const twin = seen.get(canonical);
    seen.set(canonical, origin);
    const path = ["registries", origin];
    if (mistake !== undefined) return [{ path, message: `is no origin: ${mistake}` }];
    return twin === undefined ? [] : [{ path, message: `is the same origin as ${quoted(twin)}; keep one of them` }];
  });
}

function mistakesInMirrorHosts(mirrors: unknown, registries: unknown): readonly SettingMistake[] {
  if (!isFields(mirrors) || !isFields(registries)) return [];
  const used = Object.values(registries).flat().filter((mirror) => typeof mirror === "string")
    .filter((mirror) => mistakeInMirror(mirror) === undefined).map((mirror) => parseLocation(mirror).host);
  const seen = new Set<string>();
  return Object.keys(mirrors).flatMap((key) => {
    const path = ["mirrors", key];
    const { host } = parseLocation(key);
    const again = seen.has(host);
    seen.add(host);
    if (key.includes("/")) return [{ path, message: "is more than a host; expected HOST or HOST:PORT of a mirror" }];
    if (again) return [{ path, message: "is there twice, in another spelling; keep one of them" }];
    if (used.includes(host) || used.length === 0) return [];
    return [{ path, message: `is no mirror of any rule in registries; ${suggestion(host, [...new Set(used)])}` }];
  });
}

function mistakesInAuthPaths(mirrors: unknown): readonly SettingMistake[] {
  return Object.entries(isFields(mirrors) ? mirrors : {}).flatMap(([host, settings]) => {
    const paths = valueAt(settings, "authPaths") ?? undefined;
    const path = ["mirrors", host, "authPaths"];
    if (paths === undefined) return [];
    if ((valueAt(settings, "authFile") ?? undefined) === undefined) {
      return [{ path, message: "bounds credentials that are not there: add authFile" }];
    }
    const begin = `${host.toLowerCase()}/`;
    return (Array.isArray(paths) ? paths : []).flatMap((pattern, index) =>
      String(pattern).toLowerCase().startsWith(begin)
        ? [{ path: [...path, index], message: "begins with the mirror's own host, below which it is; leave that out" }]
        : []
    );
  });
}

function mistakesInBackoff(backoff: unknown): readonly SettingMistake[] {
  const [initial, max] = [valueAt(backoff, "initial"), valueAt(backoff, "max")];
  if ((secondsOf(initial) ?? 0) <= (secondsOf(max) ?? Infinity)) return [];
  return [{ path: ["repair", "backoff", "max"], message: `${max} is shorter than initial, which is ${initial}` }];
}

// --- sentences ------------------------------------------------------------------------------------------------------

function mistakesOf(issue: z.core.$ZodIssue, filled: unknown): readonly SettingMistake[] {
  const steps = issue.path.map((step) => typeof step === "number" ? step : String(step));
  // The only mirror of an origin may stand without a list, and then has no index.
  const path = steps.filter((step, index) =>
    typeof step === "string" || Array.isArray(steps.slice(0, index).reduce(valueAt, filled))
  );
  if (issue.code !== "unrecognized_keys") return [{ path, message: issue.message }];
  const known = path[0] === "mirrors" ? MIRROR_KEYS : Object.keys(path.reduce<unknown>(valueAt, DEFAULTS) as object);
  return issue.keys.map((key) => ({ path: [...path, key], message: `unknown key; ${suggestion(key, known)}` }));
}

function suggestion(wrong: string, known: readonly string[]): string {
  const meant = nearestWord(wrong, known);
  return meant === undefined ? `expected one of ${known.join(", ")}` : `did you mean ${meant}?`;
}

function unexpected(expected: string, value: unknown): string {
  if (value === undefined) return `is missing; expected ${expected}`;
  if (value === null) return `is empty; expected ${expected}`;
  if (typeof value === "string") return `expected ${expected}, got ${quoted(value)}`;
  if (typeof value === "object") return `expected ${expected}, got ${Array.isArray(value) ? "a list" : "a mapping"}`;
  return `expected ${expected}, got ${typeof value === "number" ? "the number " : ""}${value}`;
}
