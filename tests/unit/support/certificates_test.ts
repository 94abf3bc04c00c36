// Tests lib/support/certificates.ts: what TLS would not take is refused before it ends the process.

import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  checkClientCertificate,
  ClientCertificateError,
  mistakeInBlocks,
  pemBlocks,
  plainPem,
} from "../../../lib/support/certificates.ts";
import { PROJECT } from "../../../tools/deno.ts";
import { makeAuthority } from "../../fakes/certificates.ts";

/** A certificate and key that OpenSSL 3.0 made, and what is said of them; nothing if TLS takes them. */
interface Pair {
  readonly name: string;
  readonly certificate: string;
  readonly key: string;
  readonly said?: string;
}

const PAIRS = JSON.parse(await Deno.readTextFile(`${PROJECT}tests/testdata/openssl_certificates.json`)) as Pair[];

for (const { name, certificate, key, said } of PAIRS) {
  Deno.test(`a client certificate with ${name} is ${said === undefined ? "what TLS takes" : "refused"}`, () => {
    if (said === undefined) {
      checkClientCertificate(certificate, key);
      Deno.createHttpClient({ cert: certificate, key }).close();
    } else {
      const { message } = assertThrows(() => checkClientCertificate(certificate, key), ClientCertificateError);
      assertStringIncludes(message, said);
      for (const line of key.split("\n").filter((it) => !it.startsWith("-----") && it !== "")) {
        assert(!message.includes(line), "no message quotes a key");
      }
    }
  });
}

const { certificatePem: FIRST } = makeAuthority("first");
const { certificatePem: SECOND } = makeAuthority("second");
const withBody = (body: string) => `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`;
const SECOND_LINE = FIRST.split("\n").length;

/** A bundle of certificates, and what is wrong with it. */
const BUNDLES: readonly (readonly [string, string, string | undefined])[] = [
  ["two certificates", FIRST + SECOND, undefined],
  ["byte order marks before both", `\ufeff${FIRST}\ufeff${SECOND}`, undefined],
  ["Windows line endings", (FIRST + SECOND).replaceAll("\n", "\r\n"), undefined],
  ["dashes in the text between", `a - b\n${FIRST}--- c ---\n${SECOND}`, undefined],
  ["text alone", "-----BEGIN\n", undefined],
  [
    "one that is not a certificate",
    FIRST + withBody("aGVsbG8gd29ybGQ=") + SECOND,
    `its CERTIFICATE block at line ${SECOND_LINE} is not a certificate that can be parsed`,
  ],
  [
    "one without its end",
    FIRST.replace("-----END CERTIFICATE-----\n", "") + SECOND,
    "its CERTIFICATE block at line 1 is incomplete",
  ],
  [
    "one that is not base64",
    FIRST + withBody("!!!!") + SECOND,
    `its CERTIFICATE block at line ${SECOND_LINE} is incomplete`,
  ],
  ["the only one cut off", FIRST.slice(0, -40), "its CERTIFICATE block is incomplete"],
  ["the only one empty", withBody(""), "its CERTIFICATE block is incomplete"],
];

for (const [name, text, mistake] of BUNDLES) {
  Deno.test(`a bundle with ${name} is ${mistake === undefined ? "valid" : "refused, with the block"}`, () => {
    assertEquals(mistakeInBlocks(text), mistake);
    if (mistake === undefined && text.includes("END")) {
      assertEquals(pemBlocks(text).map(({ pem }) => pem?.replaceAll("\r", "")), [FIRST.trim(), SECOND.trim()]);
      Deno.createHttpClient({ caCerts: [plainPem(text)] }).close();
    }
  });
}

Deno.test("the lines of blocks are those of the file", () => {
  assertEquals(pemBlocks(`subject\n\n${FIRST}`).map(({ label, line }) => [label, line]), [["CERTIFICATE", 3]]);
});
