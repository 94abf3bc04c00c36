// What a file of credentials is: Docker's config.json, the older .dockercfg, or a file of another
// kind, which is named with the command that makes a config.json of it. Pure: text in, data out.
// No text repeats what is in the file.

import { type Fields, isFields } from "../support/json.ts";
import { decodeBase64 } from "./base64.ts";

/** The parts of a config.json that concern credentials; none of their fields is checked yet. */
export interface AuthConfig {
  /** Entries by server: a host, a URL, or a host and a path. */
  readonly auths: Fields;
  /** Names of credential helpers by server. */
  readonly credHelpers: Fields;
  /** The credential helper of every other server. */
  readonly credsStore: unknown;
  /** Whether `auths` is the complete file. */
  readonly isDockercfg: boolean;
}

/** Why there are no credentials: one sentence without its end, and the next step. */
export interface AuthProblem {
  readonly problem: string;
  readonly remedy: string;
}

/**
 * Reads a file of credentials for `mirror`, decoded as UTF-8. A byte-order mark is ignored. A
 * .dockercfg, from before Docker 1.7, has the entries without `auths` around them (docker/cli 19.03, cli/config/configfile,
 * LegacyLoadFromReader).
 */
export function readAuthConfig(content: string, file: string, mirror: string): AuthConfig | AuthProblem {
  const encoding = wideEncodingOf(content);
  if (encoding !== undefined) {
    const problem = `${file} is ${encoding.slice(0, "UTF-16".length)} text; expected UTF-8`;
    return { problem, remedy: conversion(`iconv -f ${encoding} -t UTF-8 ${shellWord(file)}`, file) };
  }
  const text = content.replace(/^\ufeff/, "");
  if (text.trim() === "") return { problem: `${file} is empty`, remedy: creation(file, mirror) };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return notJson(text, String(error), file, mirror);
  }
  return fromJson(value, text, file, mirror);
}

/** The format, for printf(1), of a config.json with one entry: its server and its `auth`. */
const CONFIG = `'{"auths":{"%s":{"auth":"%s"}}}'`;

/** Returns the step of writing a new config.json for `mirror`. */
export function creation(file: string, mirror: string): string {
  return `create it: ${writing(file, mirror)}`;
}

/** Returns the same step where something is in the way that cannot be written to. */
export function replacement(file: string, mirror: string): string {
  return `replace it: rm ${shellWord(file)} && ${writing(file, mirror)}`;
}

function writing(file: string, mirror: string): string {
  return `printf ${CONFIG} ${shellWord(mirror)} "$(${AUTH_COMMAND})" >${shellWord(file)}`;
}

/** The command that prints the value of `auth`. */
export const AUTH_COMMAND = "printf '%s' 'USER:PASSWORD' | base64 -w0";

/** Returns a word that a POSIX shell takes as this text. */
export function shellWord(text: string): string {
  return /^[\w.,/:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/**
 * Replaces the file by the output of a command that reads it. The file keeps its owner and its
 * mode, and no copy of the secrets is left.
 */
function conversion(command: string, file: string): string {
  return `convert it: c=$(${command}) && printf '%s' "$c" >${shellWord(file)}`;
}

/**
 * Returns the name by which iconv(1) knows an encoding of two or four bytes a character, from a text
 * that was read as UTF-8. Its byte-order mark has become two U+FFFD, and its first character is
 * ASCII, as JSON's is.
 */
function wideEncodingOf(text: string): string | undefined {
  const hasMark = text.startsWith("\ufffd\ufffd");
  const [first = "", second = ""] = text.slice(hasMark ? 2 : 0);
  if (hasMark && first === "\0" && second === "\0") return "UTF-32";
  if (isAscii(first) && second === "\0") return hasMark ? "UTF-16" : "UTF-16LE";
  return first === "\0" && isAscii(second) ? hasMark ? "UTF-16" : "UTF-16BE" : undefined;
}

function isAscii(character: string): boolean {
  return character > "\0" && character < "\x80";
}

function fromJson(value: unknown, text: string, file: string, mirror: string): AuthConfig | AuthProblem {
  if (!isFields(value)) {
    const problem = `${file} holds no object in the format of Docker's config.json`;
    return { problem, remedy: creation(file, mirror) };
  }
  if (value.kind === "Secret" || value.kind === "List") {
    return secretProblem(text, file, mirror, isFields(value.stringData));
  }
  if (value.type === "service_account" && typeof value.private_key === "string") {
    const auth = `printf '_json_key:%s' "$(cat ${shellWord(file)})" | base64 -w0`;
    const command = `printf ${CONFIG} ${shellWord(mirror)} "$(${auth})"`;
    return { problem: `${file} is the key of a Google service account`, remedy: conversion(command, file) };
  }
  const { auths, credHelpers, credsStore } = value;
  const isDockercfg = [auths, credHelpers, credsStore].every((part) => part === undefined) && hasEntries(value);
  return {
    auths: isDockercfg ? value : isFields(auths) ? auths : {},
    credHelpers: isFields(credHelpers) ? credHelpers : {},
    credsStore,
    isDockercfg,
  };
}

/** Reports whether the fields are entries of servers. */
function hasEntries(value: Fields): boolean {
  const entries = Object.values(value);
  return entries.every(isFields) && entries.some((entry) => "auth" in entry || "username" in entry);
}

/** Files that people name by mistake, by what is only in them; the first that matches. */
const FORMS: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN /, "PEM"],
  [/^[ \t]*(?:machine[ \t]+\S|default[ \t]+login\s)/m, "a netrc file"],
  [/^\s*<(?:!doctype|html|\?xml)/i, "a web page"],
  [/^[ \t]*\[[\w.:/"'-]+\][ \t]*\r?$/m, "TOML"],
  [/^[\w."'-]+ *= /m, "TOML"],
  [/^(?:---$| *[\w.:/"'-]+:(?:[ \r]|$))/m, "YAML"],
];

function notJson(text: string, error: string, file: string, mirror: string): AuthProblem {
  if (/^\s*\{/.test(text)) {
    // The rest of the parser's message quotes the file.
    const [, line, column] = /\(line (\d+) column (\d+)\)$/.exec(error) ?? [];
    const where = line === undefined ? "" : `: see line ${line}, column ${column}`;
    const problem = `${file} is not JSON${/end of JSON input$/.test(error) ? ": it ends too early" : where}`;
    // Without the filter, jq accepts one object below another.
    const command = `jq -e -s 'length == 1' ${shellWord(file)} >/dev/null && echo it is JSON`;
    return { problem, remedy: `correct it until this says so: ${command}` };
  }
  if (/^[ \t]*["']?kind["']?:[ \t]*["']?Secret\b/m.test(text)) {
    return secretProblem(text, file, mirror, /^stringData:/m.test(text));
  }
  if (isConfigInBase64(text)) {
    const command = `base64 -d -i ${shellWord(file)}`;
    return { problem: `${file} is a config.json in base64`, remedy: conversion(command, file) };
  }
  const form = FORMS.find(([pattern]) => pattern.test(text))?.[1];
  return { problem: `${file} is ${form === undefined ? "" : `${form}, `}not JSON`, remedy: creation(file, mirror) };
}

/**
 * The keys of a Secret of type kubernetes.io/dockerconfigjson and kubernetes.io/dockercfg, and of one
 * that was made of a file.
 */
const SECRET_KEYS = [".dockerconfigjson", ".dockercfg", "config.json"] as const;

function secretProblem(text: string, file: string, mirror: string, isPlain: boolean): AuthProblem {
  for (const key of SECRET_KEYS) {
    const command = commandForSecret(text, key, shellWord(file), isPlain);
    if (command !== undefined) {
      const problem = `${file} is a Kubernetes Secret; expected what is in its ${key}`;
      return { problem, remedy: conversion(command, file) };
    }
  }
  const problem = `${file} is a Kubernetes Secret without a ${SECRET_KEYS[0]} that can be read`;
  return { problem, remedy: creation(file, mirror) };
}

/**
 * Returns the command that prints what a Secret has under a key, if it does so for this text:
 * kubectl writes the value in the line of the key, and an author of YAML often below it.
 */
function commandForSecret(text: string, key: string, word: string, isPlain: boolean): string | undefined {
  const name = key.replace(".", "\\.");
  const [, inline = ""] = new RegExp(`${name}[^A-Za-z0-9\n]*([A-Za-z0-9+/=]*)`).exec(text) ?? [];
  if (isConfigInBase64(inline)) {
    return `grep -o '${name}[^A-Za-z0-9]*[A-Za-z0-9+/=]*' ${word} | head -n 1 | cut -d : -f 2 | base64 -d -i`;
  }
  const lines = text.split("\n");
  const below = lines.slice(lines.findIndex((line) => line.includes(key)) + 1);
  if (isConfigInBase64(upTo((line) => line.includes(":"), below).replace(/[^A-Za-z0-9+/=]/g, ""))) {
    return `awk 'f && /:/ {exit} f; /${name}/ {f=1}' ${word} | base64 -d -i`;
  }
  if (!isPlain) return undefined;
  if (isConfig(upTo((line) => /^[^ ]/.test(line), below))) return `sed -n '/${name}/,/^[^ ]/{//!p}' ${word}`;
  return text.trimStart().startsWith("{") ? `jq -r '.stringData["${key}"]' ${word}` : undefined;
}

function upTo(isEnd: (line: string) => boolean, lines: readonly string[]): string {
  const end = lines.findIndex(isEnd);
  return lines.slice(0, end < 0 ? undefined : end).join("\n");
}

/** With its padding, without which base64(1) fails. */
function isConfigInBase64(text: string): boolean {
  const plain = text.replace(/\s/g, "");
  return plain.length % 4 === 0 && isConfig(decodeBase64(plain) ?? "");
}

function isConfig(text: string): boolean {
  try {
    return isFields(JSON.parse(text));
  } catch {
    return false;
  }
}
