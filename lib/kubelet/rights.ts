// Which right in the cluster a kubelet asks for before it shows its pods, and what else that right opens.
// Pure: what a kubelet said in, sentences out.

/** What `get` on nodes/proxy means: exec and attach may be WebSockets, which begin as a GET (KEP-2862, motivation). */
export const PROXY_IS_EXEC = "get on nodes/proxy, which runs commands in every container of the node";

/** The right to ask for, while nothing is known of the kubelet. */
export const ENOUGH = `get on nodes/pods is enough from Kubernetes 1.33 on; older kubelets need ${PROXY_IS_EXEC}`;

/** Where the roles stand. */
export const ROLES = "docs/credentials.md has the roles";

/**
 * The right that a kubelet misses, by the text of its 403. From 1.33 on (KubeletFineGrainedAuthz) it names
 * `subresource(s)=[pods proxy]`, either of which is enough, and before `subresource=proxy`
 * (kubernetes pkg/kubelet/server/server.go, InstallAuthFilter). Undefined when it names neither.
 */
export function missingRight(said: string): "nodes/pods" | "nodes/proxy" | undefined {
  const [, named = ""] = /subresource(?:\(s\))?=(\[[^\]]*\]|\w+)/.exec(said) ?? [];
  return /\bpods\b/.test(named) ? "nodes/pods" : /\bproxy\b/.test(named) ? "nodes/proxy" : undefined;
}

/** What to grant after that 403. */
export function grantAfter(said: string): string {
  switch (missingRight(said)) {
    case "nodes/pods":
      return "give the user get on nodes/pods, and not on nodes/proxy, which runs commands in every container of the node";
    case "nodes/proxy":
      return `this kubelet is older than 1.33 and needs ${PROXY_IS_EXEC}: give each node's user that of its own node alone`;
    case undefined:
      return `let the user see pods: ${ENOUGH}`;
  }
}
