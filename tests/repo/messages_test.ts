// Checks that the generated messages are those of the .proto files.

import { assertEquals } from "@std/assert";
import { PROJECT } from "../../tools/deno.ts";
import { FOLDER, generate } from "../../tools/messages.ts";
import { notOnPath } from "../support/programs.ts";
import { testIfPossible } from "../support/requirements.ts";

testIfPossible("the generated messages are those of their .proto files", notOnPath(["protoc"]), async () => {
  const made = await generate();
  const kept = [...Deno.readDirSync(FOLDER)].map(({ name }) => name).filter((name) => name.endsWith("_pb.ts"));
  assertEquals(Object.keys(made).sort(), kept.sort(), `run deno task messages in ${PROJECT}`);
  for (const [name, content] of Object.entries(made)) {
    assertEquals(await Deno.readTextFile(FOLDER + name), content, `${name} differs: run deno task messages`);
  }
});
