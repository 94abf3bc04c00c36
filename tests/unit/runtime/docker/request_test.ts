import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import {
  negotiatedVersion,
  pathOf,
  pullQuery,
  registryAuthHeader,
  withoutCredentials,
} from "../../../../lib/runtime/docker/request.ts";
import { RuntimeError } from "../../../../lib/runtime/errors.ts";

const DIGEST = `sha256:${"a".repeat(64)}`;

Deno.test("the API version is the smaller of ours and the Engine's", () => {
  const cases = [["1.30", "1.30"], ["1.41", "1.41"], ["1.51", "1.51"], ["1.55", "1.51"], ["2.0", "1.51"]] as const;
  for (const [offered, version] of cases) assertEquals(negotiatedVersion("try", offered), version);
  for (const offered of ["", "1", "1.x", "v1.41", "1.41/../.."]) {
    assertEquals(negotiatedVersion("try", offered), undefined);
  }
});

Deno.test("an Engine before 17.06 is refused with the version it needs", () => {
  const error = assertThrows(() => negotiatedVersion("inspect a:1", "1.29"), RuntimeError);
  assertEquals(error.kind, "failed");
  assertEquals(
    error.message,
    "inspect a:1: the Docker Engine offers API 1.29, but API 1.30 (Docker Engine 17.06) or newer is required",
  );
});

Deno.test("credentials are base64url of UTF-8 with padding", () => {
  for (const password of ["p", "pa", "pas", "pass>>>???", "pässwörd→🐋"]) {
    const header = registryAuthHeader({ username: "ann", password });
    assertMatch(header, /^[A-Za-z0-9_-]+={0,2}$/);
    assertEquals(header.length % 4, 0);
    const bytes = Uint8Array.from(atob(header.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
    assertEquals(JSON.parse(new TextDecoder().decode(bytes)), { username: "ann", password });
  }
});

Deno.test("credentials are removed from a text in every form in which they are sent", () => {
  const auth = { username: "ann", password: "pässword>>>???" };
  const header = registryAuthHeader(auth);
  const basic = btoa(String.fromCharCode(...new TextEncoder().encode(`ann:${auth.password}`)));
  for (const form of [auth.password, header, header.replace(/=+$/, ""), basic, basic.replace(/=+$/, "")]) {
    assertEquals(withoutCredentials(`no ${form} here, nor ${form}!`, auth), "no … here, nor …!");
  }
  assertEquals(withoutCredentials("token=t0k3n-of-ann", { identitytoken: "t0k3n-of-ann" }), "token=…");
  const controlled = { username: "ann", password: "pass\u0001\nword" };
  assertEquals(withoutCredentials("no pass word here", controlled), "no … here");
  assertEquals(withoutCredentials("a bad day for ann", auth), "a bad day for ann");
  assertEquals(withoutCredentials("a bad day", { username: "ann", password: "a" }), "a bad day");
});

Deno.test("a pull requests one tag or one digest", () => {
  const cases = [
    ["nginx:1", "nginx", "1"],
    ["m.example:5000/a/b:1", "m.example:5000/a/b", "1"],
    [`m.example:5000/a/b@${DIGEST}`, "m.example:5000/a/b", DIGEST],
    [`m.example:5000/a/b:1@${DIGEST}`, "m.example:5000/a/b", DIGEST],
  ] as const;
  for (const [reference, fromImage, tag] of cases) {
    assertEquals(Object.fromEntries(pullQuery("pull", reference)), { fromImage, tag });
  }
  for (
    const reference of ["nginx", "m.example:5000/a", "m.example:5000/a:", "a@", ":1", "", "@sha256:abc", "a/../b:1"]
  ) {
    assertThrows(() => pullQuery("pull", reference), RuntimeError);
  }
});

Deno.test("a reference stays within its path segment", () => {
  assertEquals(pathOf("try", `m.example:5000/a/b:1@${DIGEST}`), `m.example:5000/a/b:1@${DIGEST}`);
  assertEquals(pathOf("try", "a?b#c%2e%2e\\d:1"), "a%3Fb%23c%252e%252e%5Cd:1");
  for (const reference of ["", "/", "a//b", "../x", "a/./b", "a/..", "a b", "a\u0000", "ä", "x".repeat(1025)]) {
    const error = assertThrows(() => pathOf("try", reference), RuntimeError);
    assertEquals(error.kind, "rejected");
  }
});
