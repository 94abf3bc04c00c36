// Checks the layers: which file may import which, and the form of the files of lib/.

import { assertEquals } from "@std/assert";
import { PROJECT } from "../../tools/deno.ts";
import { ADAPTERS, GENERATED, PURE, RANKS } from "./layers.ts";

const ROOT = new URL(`file://${PROJECT}`);

/** Returns every file under a folder, as paths from the project root, without build output. */
function filesUnder(folder: string): string[] {
  return [...Deno.readDirSync(new URL(folder, ROOT))].flatMap(({ name, isDirectory, isFile }) => {
    if ([".git", ".deno", "dist", "node_modules"].includes(name)) return [];
    if (isDirectory) return filesUnder(`${folder}${name}/`);
    return isFile ? [`${folder}${name}`] : [];
  }).sort();
}

function exists(file: string): boolean {
  try {
    Deno.statSync(new URL(file, ROOT));
    return true;
  } catch {
    return false;
  }
}

function read(file: string): string {
  return Deno.readTextFileSync(new URL(file, ROOT));
}

/** Returns the JSON that a command of Deno prints. */
function fromDeno<Answer>(...args: readonly string[]): Answer {
  const command = new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: PROJECT,
    stdin: "null",
    stderr: "inherit",
  });
  return JSON.parse(new TextDecoder().decode(command.outputSync().stdout)) as Answer;
}

interface Import {
  readonly from: string;
  /** A path in the project, or the name of a package. */
  readonly of: string;
  /** Whether the program needs it at run time; otherwise it is imported for types only. */
  readonly isValue: boolean;
}

/** Returns the imports of all project modules reachable from these, as Deno resolves them. */
function importsFrom(...entries: readonly string[]): Import[] {
  const all = Deno.makeTempFileSync({ suffix: ".ts" });
  try {
    Deno.writeTextFileSync(all, entries.map((entry) => `import ${JSON.stringify(ROOT.href + entry)};\n`).join(""));
    const args = ["info", "--json", "--config", "deno.json", all];
    const { modules } = fromDeno<{ modules: readonly ModuleInfo[] }>(...args);
    return modules.filter(({ specifier }) => specifier.startsWith(ROOT.href)).flatMap((module) =>
      (module.dependencies ?? []).map(({ specifier, code, type }) => ({
        from: module.specifier.replace(ROOT.href, ""),
        of: specifier.startsWith(".") ? (code ?? type)!.specifier.replace(ROOT.href, "") : specifier,
        isValue: code !== undefined,
      }))
    );
  } finally {
    Deno.removeSync(all);
  }
}

/** The part of a module in `deno info --json` that is used here. */
interface ModuleInfo {
  readonly specifier: string;
  readonly dependencies?: readonly {
    readonly specifier: string;
    readonly code?: { readonly specifier: string };
    readonly type?: { readonly specifier: string };
  }[];
}

const LIB = filesUnder("lib/").filter((file) => file.endsWith(".ts") && file !== "lib/std.d.ts");
const SOURCES = [...LIB, "main.ts"];
const IMPORTS = importsFrom("main.ts");
const VALUE_IMPORTS = IMPORTS.filter(({ isValue }) => isValue);

function described(imports: readonly Import[]): string[] {
  return imports.map(({ from, of, isValue }) => `${from} imports ${isValue ? "" : "types of "}${of}`);
}

function isCommand(file: string): boolean {
  return file.startsWith("lib/commands/");
}

Deno.test("the lists of pure modules and adapters name files that exist, each once", () => {
  assertEquals([...PURE, ...ADAPTERS].filter((file) => !LIB.includes(file)), []);
  assertEquals([...PURE].filter((file) => ADAPTERS.has(file)), []);
});

Deno.test("main.ts reaches every file of lib/, and imports of values and of types are distinguished", () => {
  const reached = new Set(IMPORTS.map(({ of }) => of));
  assertEquals(LIB.filter((file) => !reached.has(file)), []);
  const of = (from: string, of: string) => IMPORTS.find((it) => it.from === from && it.of === of)?.isValue;
  assertEquals(of("main.ts", "lib/commands/mod.ts"), true);
  assertEquals(of("lib/log/messages.ts", "lib/log/log.ts"), false);
  assertEquals(of("lib/app.ts", "prom-client"), true, "an import at run time");
  assertEquals(of("lib/runtime/open.ts", "lib/runtime/containerd/client.ts"), true, "one of a file");
});

Deno.test("a pure module imports only types from modules that are not pure", () => {
  const packages = ["zod/mini", "@std/cli/parse-args", "@std/text/levenshtein-distance", "@std/yaml"];
  const wrong = VALUE_IMPORTS.filter(({ from, of }) => PURE.has(from) && !PURE.has(of) && !packages.includes(of));
  assertEquals(described(wrong), []);
});

Deno.test("an adapter imports only types from modules that are neither pure nor adapters", () => {
  const wrong = VALUE_IMPORTS.filter(({ from, of }) =>
    ADAPTERS.has(from) && of.startsWith("lib/") && !PURE.has(of) && !ADAPTERS.has(of) && !GENERATED.test(of)
  );
  assertEquals(described(wrong), []);
});

/**
 * Returns the folder of lib/ that contains a file, or the file itself if it is directly in lib/.
 */
function entryOf(file: string): string {
  return file.split("/")[1]!;
}

Deno.test("every folder and file of lib/ has exactly one rank", () => {
  assertEquals(RANKS.flat().toSorted(), [...new Set(LIB.map(entryOf))].toSorted());
});

Deno.test("no folder of lib/ holds more than 16 entries", () => {
  const folders = new Set(
    LIB.flatMap((file) => file.split("/").slice(0, -1).map((_, i, path) => path.slice(0, i + 1).join("/"))),
  );
  const wrong = [...folders].filter((folder) => folder !== "lib")
    .map((folder) => ({ folder, entries: [...Deno.readDirSync(new URL(folder, ROOT))].length }))
    .filter(({ entries }) => entries > 16);
  assertEquals(wrong, []);
});

Deno.test("imports only go down the ranks", () => {
  const rank = (file: string) => RANKS.findIndex((entries) => entries.includes(entryOf(file)));
  const upward = IMPORTS.filter(({ from, of }) =>
    from !== "main.ts" && of.startsWith("lib/") && entryOf(from) !== entryOf(of) && rank(from) <= rank(of)
  );
  assertEquals(described(upward), []);
});

Deno.test("tests/unit/ mirrors lib/: a test has the path and the name of its subject", () => {
  const tests = filesUnder("tests/unit/");
  const imports = importsFrom(...tests);
  const importsOf = (file: string) => imports.filter(({ from }) => from === file).map(({ of }) => of);
  const strangers = tests.filter((test) => {
    // A second file about one subject adds its aspect: reference_test.ts, reference_limits_test.ts.
    const subject = LIB.filter((file) => {
      const path = file.replace(/^lib/, "tests/unit").replace(/\.ts$/, "");
      return test === `${path}_test.ts` || test.startsWith(`${path}_`);
    });
    const own = importsOf(test);
    const helpers = own.filter((file) => file.startsWith("tests/"));
    return ![...own, ...helpers.flatMap(importsOf)].some((file) => subject.includes(file));
  });
  assertEquals(strangers, []);
});

/** The files that a runtime may use outside lib/runtime/. */
const RUNTIME_NEEDS = [
  "lib/images/location.ts",
  "lib/images/reference.ts",
  "lib/images/registry.ts",
  ...["errors", "http/client", "json", "scrub", "semaphore", "text", "timeouts"]
    .map((name) => `lib/support/${name}.ts`),
];

Deno.test("a runtime imports only lib/runtime/, and a few files of lib/images/ and lib/support/", () => {
  const wrong = VALUE_IMPORTS.filter(({ from, of }) =>
    from.startsWith("lib/runtime/") && of.startsWith("lib/") && !of.startsWith("lib/runtime/") &&
    !RUNTIME_NEEDS.includes(of)
  );
  assertEquals(described(wrong), []);
});

Deno.test("only app.ts and commands use concrete adapters, and only lib/runtime/ imports specific runtimes", () => {
  const concrete = ["lib/kubelet/client.ts", "lib/runtime/open.ts", "lib/record/ledger.ts"];
  const wrong = VALUE_IMPORTS.filter(({ from, of }) =>
    (concrete.includes(of) && from !== "lib/app.ts" && !isCommand(from)) ||
    (/^lib\/runtime\/\w+\//.test(of) && !from.startsWith("lib/runtime/"))
  );
  assertEquals(described(wrong), []);
});

Deno.test("only commands import app.ts, and only main.ts imports the commands", () => {
  const wrong = IMPORTS.filter(({ from, of }) =>
    !isCommand(from) && ((of === "lib/app.ts") || (isCommand(of) && from !== "main.ts"))
  );
  assertEquals(described(wrong), []);
});

Deno.test("there is no import cycle, not even for types", () => {
  const needed = new Map(
    SOURCES.map((file) => [file, IMPORTS.filter(({ from }) => from === file).map(({ of }) => of)]),
  );
  const circles: string[] = [];
  const done = new Set<string>();
  const follow = (file: string, path: readonly string[]) => {
    if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(" -> "));
    if (path.includes(file) || done.has(file)) return;
    for (const next of needed.get(file) ?? []) follow(next, [...path, file]);
    done.add(file);
  };
  for (const file of SOURCES) follow(file, []);
  assertEquals(circles, []);
});

Deno.test("no file of lib/ is longer than 350 lines", () => {
  const lengths = LIB.map((file) => ({ file, lines: read(file).trimEnd().split("\n").length }));
  assertEquals(lengths.filter(({ lines }) => lines > 350), []);
});

Deno.test("every file of lib/ begins with a comment of one to three lines", () => {
  const wrong = LIB.filter((file) => {
    const lines = read(file).split("\n");
    const length = lines.findIndex((line) => !line.startsWith("// "));
    return length < 1 || length > 3;
  });
  assertEquals(wrong, []);
});

Deno.test("every export of lib/ has a doc comment", () => {
  interface DocNode {
    readonly name: string;
    readonly kind: string;
    readonly declarationKind: string;
    readonly location: { readonly filename: string };
    readonly jsDoc?: { readonly doc?: string };
  }
  const { nodes } = fromDeno<{ nodes: readonly DocNode[] }>(
    "doc",
    "--json",
    ...LIB.filter((file) => !GENERATED.test(file)),
  );
  const exported = nodes.filter(({ kind, declarationKind }) => declarationKind === "export" && kind !== "import");
  assertEquals(exported.length > 300, true, `${exported.length} exports were seen`);
  // A command describes itself in its own fields.
  const silent = exported.filter(({ name, jsDoc }) => !jsDoc?.doc && !name.endsWith("Command"));
  assertEquals(silent.map(({ location, name }) => `${location.filename.replace(ROOT.href, "")}: ${name}`), []);
});

Deno.test("every file of lib/, tests/ or tools/ that a text names exists", () => {
  // After a slash it is a file of another project.
  const name = /(?<![\w/.-])(?:lib|tests|tools)\/[\w/-]+(?:\.\w+)*/g;
  const wrong = filesUnder("").filter((file) => file !== "CHANGELOG.md").flatMap((file) =>
    [...read(file).matchAll(name)].map(([named]) => named)
      .filter((named) => !exists(named)).map((named) => `${file}: ${named}`)
  );
  assertEquals(wrong, []);
});

Deno.test("no file of the project names paths of the development machine", () => {
  const files = filesUnder("").filter((file) => file !== "tests/repo/layering_test.ts");
  const wrong = files.flatMap((file) =>
    read(file).split("\n").flatMap((line, index) => {
      const lab = line.includes("shared/lab") && file !== ".ci/run" && !file.startsWith("tests/");
      const machine = /(?<![\w.-])\/(work|tmp\/lab)\/|shared\/design/.test(line);
      return lab || machine ? [`${file}:${index + 1}: ${line.trim().slice(0, 80)}`] : [];
    })
  );
  assertEquals(wrong, []);
});
