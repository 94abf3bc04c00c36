import { assertEquals } from "@std/assert";
import { originOf, valuesOf, watchedBy } from "../../../../lib/check/files/unit_file.ts";

const UNIT = `
# LoadCredential=comment:/no
[Unit]
LoadCredential=elsewhere:/no
[Service]
Type = notify
LoadCredential=old:/etc/old
LoadCredential=client.crt:/etc/pki/client.crt
; LoadCredential=another-comment:/no
LoadCredential=long:/etc/\\
  # in between
  long.pem
LoadCredential=certs:/etc/pki/folder
LoadCredentialEncrypted=sealed:/etc/sealed
SetCredential=inline:content
LoadCredential=store
LoadCredential=of-host:/etc/%H.pem
LoadCredential=percent:/etc/50%%.pem
`;

Deno.test("values come from their own section across all texts, and an empty value resets those before it", () => {
  assertEquals(valuesOf([UNIT], "Service", "Type"), ["notify"]);
  assertEquals(valuesOf([UNIT, "[Service]\nType=\nType=simple\n"], "Service", "Type"), ["simple"]);
  assertEquals(valuesOf(["Type=outside\n[Service]\n"], "Service", "Type"), []);
});

for (
  const [name, origin] of [
    ["client.crt", { file: "/etc/pki/client.crt" }],
    ["certs_a.pem", { file: "/etc/pki/folder/a.pem" }],
    ["percent", { file: "/etc/50%.pem" }],
    ["of-host", { hidden: true }],
    ["store", { hidden: true }],
    ["sealed", { hidden: true }],
    ["inline", { hidden: true }],
    ["elsewhere", undefined],
    ["comment", undefined],
    ["another-comment", undefined],
  ] as const
) {
  Deno.test(`the credential ${name} comes from ${JSON.stringify(origin) ?? "nowhere"}`, () => {
    assertEquals(originOf(name, [UNIT]), origin);
  });
}

Deno.test("a drop-in replaces the file of a credential, or resets all credentials", () => {
  const other = "[Service]\nLoadCredential=client.crt:/etc/gilly/client.crt\n";
  assertEquals(originOf("client.crt", [UNIT, other]), { file: "/etc/gilly/client.crt" });
  assertEquals(originOf("old", [UNIT, `[Service]\nLoadCredential=\n${other}`]), undefined);
});

Deno.test("a path unit's files are those that it watches for changes", () => {
  const unit = "[Path]\nPathExists=/no\nPathChanged=/a\nPathModified=/b\n";
  assertEquals(watchedBy([unit, "[Path]\nPathChanged=/c\n"]), ["/a", "/c", "/b"]);
});
