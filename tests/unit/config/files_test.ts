// Tests loadConfig and lib/config/files.ts: what they report about the files that a config names.

import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { ConfigError, loadConfig } from "../../../lib/config/config.ts";
import { mistakeInFile, reasonOf } from "../../../lib/config/files.ts";
import { makeAuthority } from "../../fakes/certificates.ts";

const block = (label: string, body = "aHVudGVyMg==") => `-----BEGIN ${label}-----\n${body}\n-----END ${label}-----\n`;
const KEY = block("PRIVATE KEY");
const authority = makeAuthority("tests");
const CERTIFICATE = authority.certificatePem;

const CONFIG = `kubelet:
  url: https://worker-1:10250
  caFile: ca.crt
  certFile: client.crt
  keyFile: client.key
registries:
  gcr.io: m.example
mirrors:
  m.example:
    authFile: auth.json
`;

/** Runs a test in a folder with these files; contents of undefined make a folder of that name. */
async function withFiles(
  files: Readonly<Record<string, string | Uint8Array | undefined>>,
  test: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "gilly-config-" });
  try {
    for (const [name, contents] of Object.entries(files)) {
      if (contents === undefined) await Deno.mkdir(`${folder}/${name}`);
      else if (typeof contents === "string") await Deno.writeTextFile(`${folder}/${name}`, contents);
      else await Deno.writeFile(`${folder}/${name}`, contents);
    }
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Returns the mistakes from loading the config, without the folder. */
async function mistakesOfLoading(folder: string): Promise<string[]> {
  const error = await assertRejects(() => loadConfig(`${folder}/config.yaml`), ConfigError);
  return error.message.replaceAll(`${folder}/`, "").split("\n");
}

const client = authority.issueClient({ commonName: "gilly" });

const GOOD = {
  "config.yaml": CONFIG,
  "ca.crt": CERTIFICATE + CERTIFICATE,
  "client.crt": client.certificatePem,
  "client.key": client.keyPem,
};

Deno.test("a config loads if its files exist; a mirror's credentials may come later", async () => {
  await withFiles(GOOD, async (folder) => {
    const { kubelet, mirrors } = await loadConfig(`${folder}/config.yaml`);
    assertEquals(kubelet.keyFile, `${folder}/client.key`);
    assertEquals(mirrors["m.example"]?.authFile, `${folder}/auth.json`);
  });
});

Deno.test("a key that belongs to another certificate is a mistake at its line", async () => {
  const other = authority.issueClient({ commonName: "other" });
  await withFiles({ ...GOOD, "client.key": other.keyPem }, async (folder) => {
    assertEquals(await mistakesOfLoading(folder), [
      "config.yaml:5: kubelet.keyFile: client.key cannot be used with client.crt: " +
      "the key does not belong to the certificate",
    ]);
  });
});

Deno.test("a config that cannot be read is refused with its path", async () => {
  await withFiles({ folder: undefined, latin: new Uint8Array([0x6b, 0xe9, 0x3a]) }, async (folder) => {
    const refusal = async (name: string) =>
      (await assertRejects(() => loadConfig(`${folder}/${name}`), ConfigError)).message;
    assertEquals(await refusal("none.yaml"), `${folder}/none.yaml: does not exist`);
    assertEquals(await refusal("folder"), `${folder}/folder: is a directory`);
    assertEquals(await refusal("latin"), `${folder}/latin: is not UTF-8 text; expected YAML`);
  });
});

Deno.test("mistakes in the named files are listed with those in the config, in line order", async () => {
  const config = CONFIG.replace("10250", "10250/pods").replace("m.example:\n", "m.exampel:\n");
  const files = { ...GOOD, "config.yaml": config, "client.crt": KEY, "client.key": "", "auth.json": undefined };
  await withFiles(files, async (folder) => {
    await Deno.remove(`${folder}/ca.crt`);
    assertEquals(await mistakesOfLoading(folder), [
      "config.yaml:2: kubelet.url: has more than a host and a port; expected https://HOST:PORT, such as https://worker-1:10250",
      "config.yaml:3: kubelet.caFile: ca.crt does not exist; expected a PEM file with a certificate",
      "config.yaml:4: kubelet.certFile: client.crt holds a private key and no certificate; are certFile and keyFile swapped?",
      "config.yaml:5: kubelet.keyFile: client.key is empty; expected a PEM private key",
      'config.yaml:9: mirrors."m.exampel": is not a mirror of any rule in registries; did you mean m.example?',
      'config.yaml:10: mirrors."m.exampel".authFile: auth.json is a directory; expected a file',
    ]);
  });
});

Deno.test("a file whose key is already wrong is not checked", async () => {
  await withFiles({ "config.yaml": CONFIG.replace("https:", "http:") }, async (folder) => {
    const mistakes = await mistakesOfLoading(folder);
    assertEquals(mistakes.length, 3);
    assert(mistakes.every((mistake) => mistake.includes("has no effect with http://")));
  });
});

const BROKEN_BASE64 = "is damaged: its CERTIFICATE block is incomplete";

/** Contents of files, and a part of the mistake; undefined if there is none. */
const CONTENTS: readonly (readonly ["certificate" | "key" | "token", name: string, text: string, said?: string])[] = [
  ["certificate", "a certificate after prose", `subject=worker\n${CERTIFICATE}`],
  ["certificate", "a certificate with Windows line endings", CERTIFICATE.replaceAll("\n", "\r\n")],
  ["certificate", "a certificate together with its key", CERTIFICATE + KEY],
  ["certificate", "a truncated certificate", CERTIFICATE.slice(0, -30), BROKEN_BASE64],
  ["certificate", "a certificate that is not valid base64", block("CERTIFICATE", "ab!="), BROKEN_BASE64],
  ["certificate", "a certificate with a letter missing", block("CERTIFICATE", "aHVudGVyMg="), BROKEN_BASE64],
  ["certificate", "a certificate with a byte order mark", `\ufeff${CERTIFICATE}`],
  [
    "certificate",
    "a bundle with one that cannot be parsed",
    CERTIFICATE + block("CERTIFICATE") + CERTIFICATE,
    `is damaged: its CERTIFICATE block at line ${
      CERTIFICATE.split("\n").length
    } is not a certificate that can be parsed`,
  ],
  ["certificate", "DER", "\x30\x82\x01", "holds no certificate in PEM"],
  [
    "certificate",
    "DER as UTF-8 decodes it",
    "0\ufffd\x01",
    "holds no certificate in PEM (a block labeled CERTIFICATE): it is binary, and openssl x509 -inform der",
  ],
  [
    "certificate",
    "UTF-16 without a byte order mark",
    [...CERTIFICATE].join("\0") + "\0",
    "holds no certificate in PEM (a block labeled CERTIFICATE): it is UTF-16, and iconv -f UTF-16 -t UTF-8",
  ],
  [
    "certificate",
    "OpenSSL's own form",
    block("TRUSTED CERTIFICATE"),
    "holds a certificate in OpenSSL's own form: openssl x509 -in FILE -out NEW writes it in PEM",
  ],
  ["certificate", "a certificate request", block("CERTIFICATE REQUEST"), "holds no certificate in PEM"],
  ["key", "a key", KEY],
  ["key", "a key with a byte order mark", `\ufeff${KEY}`],
  ["key", "an RSA key", block("RSA PRIVATE KEY")],
  ["key", "an EC key with its parameters", block("EC PARAMETERS") + block("EC PRIVATE KEY")],
  ["key", "a key together with its certificate", CERTIFICATE + KEY],
  ["key", "an encrypted key", block("ENCRYPTED PRIVATE KEY"), "is encrypted"],
  ["key", "an old encrypted key", block("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\n\nYQ=="), "is encrypted"],
  ["key", "a certificate", CERTIFICATE, "holds a certificate and no private key; are certFile and keyFile swapped?"],
  ["key", "an OpenSSH key", block("OPENSSH PRIVATE KEY"), "holds no private key in PEM"],
  ["token", "a token with a line ending", "abc.def\n"],
  ["token", "nothing but white space", " \n", "is empty; expected a token"],
  ["token", "a token with a byte order mark and Windows line endings", "\ufeffabc.def\r\n"],
  [
    "token",
    "a token padded with NULs",
    "aHVudGVyMg\0\0",
    "contains NUL characters, as UTF-16 and padding do; expected only a token",
  ],
  [
    "token",
    "a token with non-ASCII characters",
    "aHVudGVyMgé",
    "contains characters that are not visible ASCII; expected only a token",
  ],
  ["token", "a token with a control character", "aHVudGVyMg\x01a", "contains characters that are not visible ASCII"],
  ["token", "a token in quotes", '"aHVudGVyMg"', "is in quotes; expected only a token, in ASCII"],
  ["token", "two words", "Bearer abc", "contains more than one word; expected only a token"],
];

for (const [kind, name, text, said] of CONTENTS) {
  Deno.test(`${name} as a ${kind} file is ${said === undefined ? "accepted" : "refused"}, and never quoted`, async () => {
    await withFiles({ file: text }, async (folder) => {
      const mistake = await mistakeInFile(`${folder}/file`, kind);
      if (said === undefined) assertEquals(mistake, undefined);
      else assertStringIncludes(mistake ?? "", `${folder}/file ${said}`);
      assert(!mistake?.includes("aHVudGVyMg"));
    });
  });
}

Deno.test("a file that never ends, or is far too large, is refused unread", async () => {
  assertEquals(await mistakeInFile("/dev/zero", "token"), "/dev/zero is not a regular file");
  await withFiles({}, async (folder) => {
    const file = await Deno.create(`${folder}/large`);
    await file.truncate(2 * 1024 * 1024);
    file.close();
    assertStringIncludes(await mistakeInFile(`${folder}/large`, "key") ?? "", "is larger than 1 MiB");
  });
});

Deno.test("the reasons why a file cannot be read are distinguished", () => {
  assertEquals(reasonOf(new Deno.errors.PermissionDenied("x")), "cannot be read: permission denied");
  assertEquals(reasonOf(new Deno.errors.NotCapable("x")), "is a file of the kernel, which Gilly may not read");
  assertEquals(reasonOf(new Deno.errors.NotADirectory("Not a directory")), "cannot be read: Not a directory");
});
