// Types of the functions used from Deno's standard library, whose npm build (deno-std) has none.
// Signatures follow the library's documentation at the version pinned in deno.json.

declare module "@std/assert" {
  export class AssertionError extends Error {}
  export function assert(expr: unknown, msg?: string): asserts expr;
  export function assertEquals<T>(actual: T, expected: T, msg?: string): void;
  export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void;
  export function assertStrictEquals<T>(actual: unknown, expected: T, msg?: string): asserts actual is T;
  export function assertExists<T>(actual: T, msg?: string): asserts actual is NonNullable<T>;
  export function assertInstanceOf<T>(
    actual: unknown,
    // deno-lint-ignore no-explicit-any
    expectedType: abstract new (...args: any[]) => T,
    msg?: string,
  ): asserts actual is T;
  export function assertStringIncludes(actual: string, expected: string, msg?: string): void;
  export function assertArrayIncludes<T>(actual: ArrayLike<T>, expected: ArrayLike<T>, msg?: string): void;
  export function assertMatch(actual: string, expected: RegExp, msg?: string): void;
  export function assertNotMatch(actual: string, expected: RegExp, msg?: string): void;
  export function assertObjectMatch(actual: object, expected: object, msg?: string): void;
  export function assertGreater<T>(actual: T, expected: T, msg?: string): void;
  export function assertGreaterOrEqual<T>(actual: T, expected: T, msg?: string): void;
  export function assertLess<T>(actual: T, expected: T, msg?: string): void;
  export function assertLessOrEqual<T>(actual: T, expected: T, msg?: string): void;
  export function assertThrows<E extends Error = Error>(
    fn: () => unknown,
    // deno-lint-ignore no-explicit-any
    errorClass: abstract new (...args: any[]) => E,
    msgIncludes?: string,
    msg?: string,
  ): E;
  export function assertRejects<E extends Error = Error>(
    fn: () => PromiseLike<unknown>,
    // deno-lint-ignore no-explicit-any
    errorClass: abstract new (...args: any[]) => E,
    msgIncludes?: string,
    msg?: string,
  ): Promise<E>;
  export function fail(msg?: string): never;
}

declare module "@std/async/delay" {
  export function delay(ms: number, options?: { signal?: AbortSignal; persistent?: boolean }): Promise<void>;
}

declare module "@std/cli/parse-args" {
  export interface ParseArgsOptions {
    boolean?: readonly string[];
    string?: readonly string[];
    collect?: readonly string[];
    alias?: Record<string, string>;
    stopEarly?: boolean;
    unknown?: (arg: string, key?: string, value?: unknown) => unknown;
  }
  export function parseArgs(
    args: readonly string[],
    options?: ParseArgsOptions,
  ): { _: (string | number)[]; [flag: string]: unknown };
}

declare module "@std/text/levenshtein-distance" {
  export function levenshteinDistance(first: string, second: string): number;
}

declare module "@std/yaml" {
  /**
   * `message` is REASON, " at line L, column C" and an excerpt of the source; lines and columns are
   * counted from 1.
   */
  export class YamlSyntaxError extends SyntaxError {
    readonly line: number;
    readonly column: number;
  }
  /** Throws YamlSyntaxError. */
  export function parse(content: string, options?: { schema?: "failsafe" | "json" | "core" | "default" }): unknown;
  export function stringify(data: unknown, options?: { lineWidth?: number; schema?: string }): string;
}
