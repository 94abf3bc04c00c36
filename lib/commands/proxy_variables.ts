// The environment's proxies, taken out of it before anything connects: the kubelet and the sockets are on this host, and no
// variable may send what is said to them elsewhere. Deno reads these variables whenever it makes a client.

const PROXIES = ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "all_proxy", "https_proxy", "http_proxy"] as const;

/** A host of NO_PROXY is connected to by its name, and so is the Engine's socket when it is `*`: its calls would leave. */
const EXCEPTIONS = ["NO_PROXY", "no_proxy"] as const;

/** Every variable that Deno's clients obey (deno ext/fetch/proxy.rs); the binary may read and unset these. */
export const PROXY_VARIABLES: readonly string[] = [...PROXIES, ...EXCEPTIONS];

let ignored: readonly string[] = [];

/** Takes every one of PROXY_VARIABLES out of this process. */
export function ignoreProxies(): void {
  ignored = PROXIES.filter((name) => Deno.env.get(name));
  for (const name of PROXY_VARIABLES) Deno.env.delete(name);
}

/** The variables that named a proxy before `ignoreProxies`; their values may hold a password and are not kept. */
export function ignoredProxies(): readonly string[] {
  return ignored;
}
