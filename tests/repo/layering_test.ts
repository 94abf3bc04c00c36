// Holds the layers as they are drawn: who may import whom, who may say which word, and how a file of lib/ is made.

import { assertEquals } from "@std/assert";
import { PROJECT } from "../../tools/deno.ts";
import { ADAPTERS, PURE, RANKS } from "./layers.ts";

const ROOT = new URL(`file://${PROJECT}`);

/** Every file of the project under a folder, as paths from its root. What a build leaves and git ignores is left out. */
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

/** What stands in a source text: comments are taken out, and what is quoted too unless `quotes` says otherwise. */
function codeOf(source: string, { quotes = false } = {}): string {
  // Comments, quoted texts, regular expressions where a value may begin, and the rest, one character at a time.
  const token =
    /(\/\/[^\n]*|\/\*[\s\S]*?\*\/)|("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|`|((?<=(?:^|[(,=>:[!&|?{};\n]|return)\s*)\/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*)|[\s\S]/y;
  let code = "";
  /** For each template we are in, how many braces are open inside its ${…}. */
  const templates: number[] = [];
  let at = 0;
  const text = () => {
    for (; at < source.length; at++) {
      if (source[at] === "\\") at++;
      else if (source[at] === "`") return void at++;
      else if (source.startsWith("${", at)) {
        templates.push(0);
        code += " (";
        return void (at += 2);
      } else if (quotes) code += source[at];
    }
  };
  while (at < source.length) {
    token.lastIndex = at;
    const [whole, comment, quoted, expression] = token.exec(source)!;
    at += whole.length;
    if (comment !== undefined) code += comment.replace(/[^\n]/g, "");
    else if (quoted !== undefined) code += quotes ? quoted : '""';
    else if (expression !== undefined) code += "/x/";
    else if (whole === "`") text();
    else if (whole === "}" && templates.at(-1) === 0) {
      templates.pop();
      code += ") ";
      text();
    } else {
      if (templates.length > 0 && whole === "{") templates.push(templates.pop()! + 1);
      if (templates.length > 0 && whole === "}") templates.push(templates.pop()! - 1);
      code += whole;
    }
  }
  return code;
}

interface Import {
  readonly from: string;
  /** A path in the project, or the name of a package. */
  readonly of: string;
  /** Names that are needed when the program runs; none when only types are borrowed. */
  readonly values: readonly string[];
}

function importsOf(from: string): Import[] {
  const code = codeOf(read(from), { quotes: true });
  const statement =
    /^(?:import|export)\s+(type\s+)?([\w\s{},*$]*?)\s*(?:\bfrom\s+)?"([^"\n]+)"|\bimport\("([^"]+)"\)/gm;
  return [...code.matchAll(statement)].map(([, type, names = "", module = "", dynamic]) => {
    const of = module || dynamic!;
    const path = new URL(of, new URL(from, ROOT)).href;
    const values = type ? [] : names.replace(/[{}]/g, "").split(",").map((name) => name.trim())
      .filter((name) => name !== "" && !name.startsWith("type ")).map((name) => name.replace(/ as .*/, ""));
    return { from, of: of.startsWith(".") ? path.replace(ROOT.href, "") : of, values };
  });
}

const LIB = filesUnder("lib/").filter((file) => file.endsWith(".ts") && file !== "lib/std.d.ts");
const SOURCES = [...LIB, "main.ts"];
const IMPORTS = SOURCES.flatMap(importsOf);
const VALUE_IMPORTS = IMPORTS.filter(({ values }) => values.length > 0);

function described(imports: readonly Import[]): string[] {
  return imports.map(({ from, of, values }) => `${from} imports ${values.join(", ") || "types"} of ${of}`);
}

function isCommand(file: string): boolean {
  return file.startsWith("lib/commands/");
}

Deno.test("the lists of pure modules and adapters name files that exist, each once", () => {
  assertEquals([...PURE, ...ADAPTERS].filter((file) => !LIB.includes(file)), []);
  assertEquals([...PURE].filter((file) => ADAPTERS.has(file)), []);
});

Deno.test("imports are seen in all their forms", () => {
  const seen = (file: string) => IMPORTS.filter(({ from }) => from === file);
  assertEquals(seen("lib/version.ts"), [{ from: "lib/version.ts", of: "deno.json", values: ["manifest"] }]);
  assertEquals(seen("lib/commands/command_line.ts").map(({ of }) => of), [
    "@std/cli/parse-args",
    "lib/support/errors.ts",
    "lib/support/text.ts",
  ]);
  const lines = SOURCES.flatMap((file) => read(file).split("\n").filter((line) => / from "[^"]+"/.test(line)));
  assertEquals(IMPORTS.length >= lines.length, true, `${IMPORTS.length} of ${lines.length} imports were seen`);
});

Deno.test("a pure module imports pure modules, and of others only types", () => {
  const packages = ["zod/mini", "@std/cli/parse-args", "@std/text/levenshtein-distance", "@std/yaml"];
  const wrong = VALUE_IMPORTS.filter(({ from, of }) => PURE.has(from) && !PURE.has(of) && !packages.includes(of));
  assertEquals(described(wrong), []);
});

Deno.test("an adapter imports adapters and pure modules, and of others only types", () => {
  const wrong = VALUE_IMPORTS.filter(({ from, of }) =>
    ADAPTERS.has(from) && of.startsWith("lib/") && !PURE.has(of) && !ADAPTERS.has(of)
  );
  assertEquals(described(wrong), []);
});

/** The folder of lib/ that a file lies in, or the file itself where it lies in none. */
function entryOf(file: string): string {
  return file.split("/")[1]!;
}

Deno.test("every folder and file of lib/ has its rank, once", () => {
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

Deno.test("tests/unit/ mirrors lib/: a test lies where its subject does, and bears its name", () => {
  const strangers = filesUnder("tests/unit/").filter((test) => {
    // A second file about one subject adds its aspect: reference_test.ts, reference_limits_test.ts.
    const subject = LIB.filter((file) => {
      const path = file.replace(/^lib/, "tests/unit").replace(/\.ts$/, "");
      return test === `${path}_test.ts` || test.startsWith(`${path}_`);
    });
    const imports = importsOf(test);
    const helpers = imports.map(({ of }) => of).filter((file) => file.startsWith("tests/"));
    return ![...imports, ...helpers.flatMap(importsOf)].some(({ of }) => subject.includes(of));
  });
  assertEquals(strangers, []);
});

/** What a runtime may use of support/; more than this, and it begins to be about something else. */
const RUNTIME_NEEDS = [
  "lib/images/registry.ts",
  ...["errors", "http", "json", "lines", "linked_signal", "scrub", "semaphore", "timeouts"]
    .map((name) => `lib/support/${name}.ts`),
];

Deno.test("a runtime knows nothing of lib/ but its own folder, what registries answer, and a few files of support/", () => {
  const wrong = VALUE_IMPORTS.filter(({ from, of }) =>
    from.startsWith("lib/runtime/") && of.startsWith("lib/") && !of.startsWith("lib/runtime/") &&
    !RUNTIME_NEEDS.includes(of)
  );
  assertEquals(described(wrong), []);
});

Deno.test("only app.ts and commands name concrete adapters as values", () => {
  const concrete = ["KubeletClient", "openRuntime", "LedgerFile"];
  const wrong = VALUE_IMPORTS.filter(({ from, of, values }) =>
    from !== "lib/app.ts" && !isCommand(from) &&
    (values.some((name) => concrete.includes(name)) ||
      (of.startsWith("lib/runtime/docker/") && !from.startsWith("lib/runtime/")))
  );
  assertEquals(described(wrong), []);
});

Deno.test("only commands wire the program, and only main.ts knows the commands", () => {
  const wrong = IMPORTS.filter(({ from, of }) =>
    !isCommand(from) && ((of === "lib/app.ts") || (isCommand(of) && from !== "main.ts"))
  );
  assertEquals(described(wrong), []);
});

Deno.test("imports never circle, not even for types", () => {
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

/** A word, an example of its use that must be found, and the files that may say it. */
interface Word {
  readonly pattern: RegExp;
  readonly example: string;
  readonly only: (file: string) => boolean;
  /** Whether the word is looked for in quoted texts as well. */
  readonly quotes?: boolean;
}

const nowhere = () => false;
const inCommands = isCommand;
const inFile = (...files: readonly string[]) => (file: string) => files.includes(file);

const WORDS: Readonly<Record<string, Word>> = {
  "Deno.args": { pattern: /\bDeno\s*\.\s*args\b/, example: "main(Deno.args)", only: inFile("main.ts") },
  "Deno.exit": { pattern: /\bDeno\s*\.\s*exit(Code)?\b/, example: "Deno.exit(1)", only: inFile("main.ts") },
  "Deno.env": { pattern: /\bDeno\s*\.\s*env\b/, example: 'Deno.env.get("HOME")', only: inCommands },
  "signal listeners": {
    pattern: /\b(add|remove)SignalListener\b/,
    example: "Deno.addSignalListener(a)",
    only: inCommands,
  },
  "Date.now": { pattern: /\bDate\s*\.\s*now\b/, example: "now: Date.now,", only: inFile("lib/support/clock.ts") },
  "new Date()": { pattern: /\bnew\s+Date\b(?!\s*\(\s*[^\s)])/, example: "a = new Date()", only: nowhere },
  "performance.now": {
    pattern: /\bperformance\s*\.\s*now\b/,
    example: "performance.now()",
    only: inFile("lib/support/clock.ts"),
  },
  "Math.random": { pattern: /\bMath\s*\.\s*random\b/, example: "Math.random()", only: inFile("lib/app.ts") },
  "random bytes": {
    pattern: /\b(randomUUID|getRandomValues|randomBytes)\b/,
    example: "crypto.randomUUID()",
    only: inFile("lib/app.ts"),
  },
  "fetch": { pattern: /\bfetch\b/, example: "await fetch(url)", only: inFile("lib/support/http.ts") },
  "createHttpClient": {
    pattern: /\bcreateHttpClient\b/,
    example: "Deno.createHttpClient({})",
    only: (file) => file === "lib/kubelet/client.ts" || file.startsWith("lib/runtime/"),
  },
  "listenDatagram": {
    pattern: /\blistenDatagram\b/,
    example: "Deno.listenDatagram({})",
    only: inFile("lib/daemon/sd_notify.ts"),
  },
  "Deno.listen": {
    pattern: /\bDeno\s*\.\s*listen\b/,
    example: "Deno.listen({})",
    only: inFile("lib/support/http_server.ts"),
  },
  "Deno.serve": { pattern: /\bDeno\s*\.\s*serve\b/, example: "Deno.serve({})", only: nowhere },
  "console.": { pattern: /\bconsole\s*[.[]/, example: "console.log(1)", only: nowhere },
  "Deno.Command": { pattern: /\bDeno\s*\.\s*Command\b/, example: 'new Deno.Command("docker")', only: nowhere },
  // Its config.json is a format that others write too, and the config has a section of its name.
  "Docker": {
    pattern: /\bDocker\b(?!'s config\.json)|\bdockerd\b|\bEngine\b/,
    example: '"the Docker Engine does not answer"',
    only: (file) => /^lib\/(?:runtime\/docker|export|commands|config)\//.test(file),
    quotes: true,
  },
  // The Engine's events call a removal by the same word.
  "a DELETE route": {
    pattern: /["'`]DELETE\b/i,
    example: 'method: "DELETE"',
    only: inFile("lib/runtime/docker/events.ts"),
    quotes: true,
  },
};

for (const [name, { pattern, example, only, quotes = false }] of Object.entries(WORDS)) {
  Deno.test(`${name} is said only where it may be`, () => {
    const says = (source: string) => pattern.test(codeOf(source, { quotes }));
    assertEquals(says(example), true, "the search does not find its own example");
    assertEquals(says(`// ${example}`), false, "the search finds a comment");
    assertEquals(SOURCES.filter((file) => !only(file) && says(read(file))), []);
  });
}

/** A piece of source, and what is code in it. */
const PIECES: readonly (readonly [string, string, string])[] = [
  ["a comment behind code", "a(); // b()", "a(); "],
  ["a comment of several lines", "a /* b\n c */ d", "a \n d"],
  ["a comment inside a text", 'a("// b") + c', 'a("") + c'],
  ["a quote inside a text", `a("\\"b", '"c') + d`, 'a("", "") + d'],
  ["a template with code in it", "a(`b ${c({ d: `e ${f} g` })} h`) + i", "a( (c({ d:  (f)  })) ) + i"],
  ["a regular expression with quotes", "a.replace(/[\"'`/*]\\//g, b)", "a.replace(/x/, b)"],
  ["a division", "a / b / c", "a / b / c"],
];

for (const [name, source, code] of PIECES) {
  Deno.test(`in ${name} the search sees the code alone`, () => assertEquals(codeOf(source), code));
}

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

Deno.test("every export of lib/ has a doc comment directly before it", () => {
  const declaration =
    /^export (default |declare |async |abstract )*(function|class|const|let|interface|type|enum)\b(?! \{)/;
  const wrong = LIB.flatMap((file) => {
    const lines = read(file).split("\n").filter((line) => !line.startsWith("// deno-lint-ignore"));
    return lines.flatMap((line, index) => {
      // A command says what it does in its own fields.
      const silent = declaration.test(line) && !lines[index - 1]?.endsWith("*/") && !line.includes(": Command = {");
      return silent ? [`${file}: ${line}`] : [];
    });
  });
  assertEquals(wrong, []);
});

Deno.test("a file of lib/, tests/ or tools/ that a text names exists", () => {
  // Behind a slash it is a file of somebody else.
  const name = /(?<![\w/.-])(?:lib|tests|tools)\/[\w/-]+(?:\.\w+)*/g;
  const wrong = filesUnder("").filter((file) => file !== "CHANGELOG.md").flatMap((file) =>
    [...read(file).matchAll(name)].map(([named]) => named)
      .filter((named) => !exists(named)).map((named) => `${file}: ${named}`)
  );
  assertEquals(wrong, []);
});

Deno.test("no file of the project knows the machine that it was made on", () => {
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
