// Finds the line of a key in YAML text, because the parser keeps no positions. It expects valid
// YAML, tolerates any other text, and never throws. It interprets no values.

/** One step of a key path: a mapping's key, or the index (0-based) of a sequence's item. */
export type KeyStep = string | number;

/**
 * Reads the text once and returns a function that returns the line (1-based) of the key at a path:
 * the line of its name in a mapping, or of its dash or first character in a sequence. It
 * understands block and flow collections, quoted keys, comments, block scalars and multi-line
 * strings; it does not follow aliases, merge keys or `?` keys. If a key cannot be found, the line
 * is that of the nearest enclosing key, or undefined if even the first step cannot be found.
 */
export function locateKeys(text: string): (path: readonly KeyStep[]) => number | undefined {
  const root = new Reader(text).read();
  return (path) => {
    let place: Place | undefined = root;
    let line: number | undefined;
    for (const step of path) {
      place = place.children.get(String(step));
      if (place === undefined) break;
      line = place.line;
    }
    return line;
  };
}

/** The line of a key, and the keys below it. */
interface Place {
  readonly line: number;
  readonly children: Map<string, Place>;
}

/** At this nesting depth the reader stops, so that it cannot overflow the stack. */
const DEPTH_LIMIT = 64;

const BLANKS = /(?:\s|(?<!\S)#[^\n]*)+/y;
const LINE = /[^\n]*/y;
/**
 * Matches a comment to its end or not at all. Otherwise a line of forty `#` could be split in
 * exponentially many ways.
 */
const DIRECTIVES = /(?:(?:\s|[#%][^\n]*(?![^\n]))*---(?=\s|$))?/y;
const QUOTED = /"(?:[^"\\]|\\[^])*"|'(?:[^']|'')*'/y;
/**
 * Anchors and tags, the name (captured, with the blanks after it), and the colon. A plain name
 * contains neither `: ` nor ` #`. Blanks must match in only one way, or a long run of them would
 * cause backtracking.
 */
const BLOCK_KEY =
  /(?:[&!]\S*[ \t]+)*((?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\n]|'')*')[ \t]*|(?![\s"'[\]{}#|>,&!*%@`]|[-?](?:\s|$))(?:[^\n:#]|:(?=\S)|(?<=\S)#)+):(?=\s|$)/y;
const BLOCK_SCALAR_HEAD = /[|>][-+0-9]*[ \t]*(?:(?<=[ \t])#[^\n]*)?(?:\n|$)/y;
const FLOW_PLAIN = /(?:[^\n,[\]{}:#]|:(?=[^\s,[\]{}])|(?<=\S)#)+/y;
const PROPERTY = /[&!][^\s,[\]{}]*/y;
const DASH = /-(?=\s|$)/y;
const INDENTATION = / *(?=\S)/y;

/** Walks the text once, from the top. Every step advances or ends its loop. */
class Reader {
  readonly #text: string;
  #at = 0;
  #line = 1;
  #lineStart = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text.replace(/^\uFEFF/, "").replace(/\r\n?/g, "\n");
  }

  /** The place of the whole document; its children are the top-level keys. */
  read(): Place {
    const root = this.#placeHere();
    this.#skip(DIRECTIVES);
    this.#skip(BLANKS);
    this.#readNode(root, -1, false);
    return root;
  }

  /**
   * Reads the node at the cursor, whose other lines are indented deeper than the column `parent`. A
   * node that starts on its key's line (`inline`) cannot be a block collection, unless only an
   * anchor or a tag follows the key on that line.
   */
  #readNode(place: Place, parent: number, inline: boolean): void {
    if (++this.#depth > DEPTH_LIMIT) this.#at = this.#text.length;
    const firstLine = this.#line;
    const mayBeBlock = () => !inline || this.#line > firstLine;
    while (!(mayBeBlock() && this.#keyAhead() !== undefined) && this.#skip(PROPERTY)) this.#skip(BLANKS);
    if (mayBeBlock() && this.#ahead(DASH) !== undefined) this.#readBlockSequence(place);
    else if (mayBeBlock() && this.#keyAhead() !== undefined) this.#readBlockMapping(place);
    else if (this.#atFlowCollection()) this.#readFlowCollection(place);
    else this.#skipScalar(parent);
    this.#depth--;
  }

  #readBlockMapping(place: Place): void {
    const column = this.#column;
    for (let key = this.#keyAhead(); key !== undefined && this.#column === column; key = this.#keyAhead()) {
      const child = this.#placeHere();
      place.children.set(key, child);
      this.#skip(BLOCK_KEY);
      this.#skip(BLANKS);
      const inline = this.#line === child.line;
      const dashBelow = this.#column === column && this.#ahead(DASH) !== undefined;
      if (inline || this.#column > column || dashBelow) this.#readNode(child, column, inline);
      this.#skip(BLANKS);
    }
  }

  #readBlockSequence(place: Place): void {
    const column = this.#column;
    for (let index = 0; this.#column === column && this.#ahead(DASH) !== undefined; index++) {
      const child = this.#placeHere();
      place.children.set(String(index), child);
      this.#skip(DASH);
      this.#skip(BLANKS);
      if (this.#column > column) this.#readNode(child, column, false);
      this.#skip(BLANKS);
    }
  }

  #readFlowCollection(place: Place): void {
    if (++this.#depth > DEPTH_LIMIT) this.#at = this.#text.length;
    const isMapping = this.#character === "{";
    this.#advance(1);
    for (let index = 0; this.#at < this.#text.length;) {
      this.#skip(BLANKS);
      const character = this.#character;
      if (character === "," || character === "]" || character === "}") {
        this.#advance(1);
        if (character !== ",") break;
        index++;
      } else {
        const child = this.#placeHere();
        const name = this.#readFlowEntry(child);
        if (name !== undefined) place.children.set(isMapping ? name : String(index), child);
      }
    }
    this.#depth--;
  }

  /**
   * Reads `key: value`, `key` or a value. Returns the key or the value's text, or undefined if
   * there is neither.
   */
  #readFlowEntry(child: Place): string | undefined {
    const name = this.#readFlowValue(child);
    this.#skip(BLANKS);
    if (this.#character !== ":") return name;
    this.#advance(1);
    this.#skip(BLANKS);
    this.#readFlowValue(child);
    return name;
  }

  #readFlowValue(place: Place): string | undefined {
    while (this.#skip(PROPERTY)) this.#skip(BLANKS);
    if (this.#atFlowCollection()) {
      this.#readFlowCollection(place);
      return "";
    }
    const scalar = this.#ahead(QUOTED) ?? this.#ahead(FLOW_PLAIN);
    if (scalar !== undefined) this.#advance(scalar[0].length);
    else if (!/^[,\]}:]/.test(this.#character)) this.#advance(1);
    return scalar === undefined ? undefined : nameOf(scalar[0]);
  }

  #skipScalar(parent: number): void {
    if (this.#skip(BLOCK_SCALAR_HEAD)) {
      this.#skipLinesDeeperThan(parent);
      return;
    }
    if (!this.#skip(QUOTED)) this.#skip(LINE);
    this.#skip(BLANKS);
    while (this.#column > parent && this.#at < this.#text.length) {
      this.#skip(LINE);
      this.#skip(BLANKS);
    }
  }

  /** Skips the lines of a block scalar, which may look like keys or comments but are neither. */
  #skipLinesDeeperThan(parent: number): void {
    while (this.#at < this.#text.length) {
      const indentation = this.#ahead(INDENTATION);
      if (indentation !== undefined && indentation[0].length <= parent) return;
      this.#skip(LINE);
      this.#advance(1);
    }
  }

  #keyAhead(): string | undefined {
    const name = this.#ahead(BLOCK_KEY)?.[1];
    return name === undefined ? undefined : nameOf(name.trim());
  }

  get #column(): number {
    return this.#at - this.#lineStart;
  }

  get #character(): string {
    return this.#text.charAt(this.#at);
  }

  #atFlowCollection(): boolean {
    return this.#character === "[" || this.#character === "{";
  }

  #placeHere(): Place {
    return { line: this.#line, children: new Map() };
  }

  #ahead(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    return pattern.exec(this.#text) ?? undefined;
  }

  /** Skips what the pattern matches here. Returns false if it matches nothing. */
  #skip(pattern: RegExp): boolean {
    const length = this.#ahead(pattern)?.[0].length ?? 0;
    this.#advance(length);
    return length > 0;
  }

  #advance(length: number): void {
    const end = Math.min(this.#at + length, this.#text.length);
    for (; this.#at < end; this.#at++) {
      if (this.#text[this.#at] !== "\n") continue;
      this.#line++;
      this.#lineStart = this.#at + 1;
    }
  }
}

/** Returns a key's name without quotes. */
function nameOf(text: string): string {
  if (text.startsWith("'")) return text.slice(1, -1).replaceAll("''", "'");
  if (!text.startsWith('"')) return text.trim();
  try {
    return String(JSON.parse(text));
  } catch {
    // An escape that only YAML has. Keys are not written like that in practice, and the line of the
    // enclosing key is close enough.
    return text;
  }
}
