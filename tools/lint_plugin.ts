// A plugin for `deno lint`, in editors too: what touches the world outside, and the names of one runtime, each only where the
// table allows it. Of lib/ and main.ts alone; tests/repo/lint_plugin_test.ts has an example of each.

const ROOT = new URL("..", import.meta.url).pathname;

/** Files and folders (which end in a slash), as paths from the root. */
type Allowed = readonly string[];

const COMMANDS: Allowed = ["lib/commands/"];
const CLOCK: Allowed = ["lib/support/clock.ts"];
const APP: Allowed = ["lib/app.ts"];
const NOWHERE: Allowed = [];

/** A member of a global, as `OBJECT.PROPERTY`, or a global. */
const NAMES: Readonly<Record<string, Allowed>> = {
  "Deno.args": ["main.ts"],
  "Deno.exit": ["main.ts"],
  "Deno.exitCode": ["main.ts"],
  "Deno.env": COMMANDS,
  "Deno.addSignalListener": COMMANDS,
  "Deno.removeSignalListener": COMMANDS,
  "Deno.createHttpClient": ["lib/kubelet/client.ts", "lib/runtime/"],
  "Deno.listenDatagram": ["lib/daemon/sd_notify.ts"],
  "Deno.listen": ["lib/support/http_server.ts"],
  "Deno.serve": NOWHERE,
  "Deno.Command": NOWHERE,
  "Date.now": CLOCK,
  "performance.now": CLOCK,
  "Math.random": APP,
  "crypto.randomUUID": APP,
  "crypto.getRandomValues": APP,
  fetch: ["lib/support/http.ts"],
  console: NOWHERE,
};

/** Texts, in quotes of any kind. */
const TEXTS: readonly { readonly name: string; readonly pattern: RegExp; readonly allowed: Allowed }[] = [
  // The Engine's events call a removal by the same word.
  { name: "a DELETE request", pattern: /^DELETE\b/i, allowed: ["lib/runtime/docker/events.ts"] },
  // The config has a section of that name, and others write files in the form of its config.json.
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
            // By another name it could not be followed.
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

/** What an identifier may stand for: a global, and `GLOBAL.MEMBER` where that is what follows; nothing for a mere key. */
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
