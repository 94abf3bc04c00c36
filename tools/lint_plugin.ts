// A plugin for `deno lint`, also in editors: in lib/ and main.ts, access to the outside world and
// the names of a runtime are allowed only where the tables say so. tests/repo/lint_plugin_test.ts
// has an example of each.

const ROOT = new URL("..", import.meta.url).pathname;

/** Files and folders (with a trailing slash), as paths from the root. */
type Allowed = readonly string[];

const COMMANDS: Allowed = ["lib/commands/"];
const CLOCK: Allowed = ["lib/support/clock.ts"];
const APP: Allowed = ["lib/app.ts"];
const NOWHERE: Allowed = [];

/** Members of globals, as `OBJECT.PROPERTY`, and globals. */
const NAMES: Readonly<Record<string, Allowed>> = {
  "Deno.args": ["main.ts"],
  "Deno.exit": ["main.ts"],
  "Deno.exitCode": ["main.ts"],
  "Deno.env": COMMANDS,
  "Deno.addSignalListener": COMMANDS,
  "Deno.removeSignalListener": COMMANDS,
  "Deno.createHttpClient": ["lib/kubelet/client.ts", "lib/runtime/", "lib/proxy/trust.ts"],
  "Deno.listenDatagram": ["lib/daemon/sd_notify.ts"],
  "Deno.listen": ["lib/support/http/server.ts"],
  "Deno.listenTls": ["lib/support/http/server.ts"],
  "Deno.serve": NOWHERE,
  "Deno.Command": NOWHERE,
  "Date.now": CLOCK,
  "performance.now": CLOCK,
  "Math.random": APP,
  "crypto.randomUUID": APP,
  "crypto.getRandomValues": APP,
  fetch: ["lib/support/http/client.ts"],
  console: NOWHERE,
};

/** Patterns of string literals and templates. */
const TEXTS: readonly { readonly name: string; readonly pattern: RegExp; readonly allowed: Allowed }[] = [
  // The Engine's events use the same word for a removal.
  { name: "a DELETE request", pattern: /^DELETE\b/i, allowed: ["lib/runtime/docker/events.ts"] },
  // The config has a section of that name, and other tools write files in the format of its
  // config.json.
  {
    name: "Docker",
    pattern: /\bDocker\b(?!'s config\.json)|\bdockerd\b|\bEngine\b/,
    allowed: ["lib/runtime/docker/", "lib/export/", "lib/commands/", "lib/config/"],
  },
];

const plugin: Deno.lint.Plugin = {
  name: "gilly",
  rules: {
    "only-where-allowed": {
      create(context) {
        const file = context.filename.replace(ROOT, "");
        if (file !== "main.ts" && !/^lib\/.*(?<!\.d)\.ts$/.test(file)) return {};
        const forbid = (node: Deno.lint.Node, name: string, allowed: Allowed) => {
          if (allowed.some((path) => path === file || (path.endsWith("/") && file.startsWith(path)))) return;
          const where = allowed.length === 0 ? "nowhere" : `only in ${allowed.join(", ")}`;
          context.report({ node, message: `${name} is allowed ${where}` });
        };
        const checkText = (node: Deno.lint.Node, text: unknown) => {
          if (typeof text !== "string") return;
          for (const { name, pattern, allowed } of TEXTS) if (pattern.test(text)) forbid(node, name, allowed);
        };
        return {
          Identifier(node) {
            for (const name of namesOf(node)) if (Object.hasOwn(NAMES, name)) forbid(node, name, NAMES[name]!);
            // Under another name its uses could not be tracked.
            if (namesOf(node).join() === "Deno") forbid(node, "Deno without a member", NOWHERE);
          },
          NewExpression(node) {
            if (node.callee.type !== "Identifier" || node.callee.name !== "Date" || node.arguments.length > 0) return;
            forbid(node, "new Date()", NOWHERE);
          },
          Literal: (node) => checkText(node, node.value),
          TemplateElement: (node) => checkText(node, node.cooked),
        };
      },
    },
  },
};

export default plugin;

/**
 * Returns the names that an identifier may refer to: a global, and `GLOBAL.MEMBER` if a member
 * follows; none for a mere key.
 */
function namesOf(node: Deno.lint.Identifier): readonly string[] {
  const { name, parent } = node;
  switch (parent?.type) {
    case "MemberExpression": {
      if (parent.object !== node) return parent.computed ? [name] : [];
      const { property, computed } = parent;
      if (property.type === "Identifier" && !computed) return [name, `${name}.${property.name}`];
      return property.type === "Literal" ? [name, `${name}.${property.value}`] : [name];
    }
    case "TSQualifiedName":
    case "TSPropertySignature":
    case "TSMethodSignature":
    case "MethodDefinition":
    case "PropertyDefinition":
      return [];
    case "Property":
      return parent.key === node ? [] : [name];
    default:
      return [name];
  }
}
