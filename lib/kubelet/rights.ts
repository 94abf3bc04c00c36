// The cluster right that a kubelet requires before it lists its pods, and what else that right
// allows. Pure: a kubelet's text in, sentences out.

/**
 * What `get` on nodes/proxy allows: exec and attach may be WebSockets, which begin as a GET
 * (KEP-2862, motivation).
 */
export const PROXY_IS_EXEC = "get on nodes/proxy, which runs commands in every container of the node";

/** The right to grant while nothing is known about the kubelet. */
export const ENOUGH = `get on nodes/pods is enough from Kubernetes 1.33 on; older kubelets need ${PROXY_IS_EXEC}`;

/** Where to find the roles. */
export const ROLES = "gilly-credentials --help names the page with the roles";

/**
 * Returns the right that a kubelet found missing, according to the text of its 403. From 1.33 on
 * (KubeletFineGrainedAuthz) it names `subresource(s)=[pods proxy]`, either of which is enough, and
 * before that `subresource=proxy` (kubernetes pkg/kubelet/server/server.go, InstallAuthFilter).
 * Returns undefined if it names neither.
 */
export function missingRight(said: string): "nodes/pods" | "nodes/proxy" | undefined {
  const [, named = ""] = /subresource(?:\(s\))?=(\[[^\]]*\]|\w+)/.exec(said) ?? [];
  return /\bpods\b/.test(named) ? "nodes/pods" : /\bproxy\b/.test(named) ? "nodes/proxy" : undefined;
}

/** Returns what to grant after that 403. */
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
