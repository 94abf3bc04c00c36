import { assert, assertEquals } from "@std/assert";
import { LiveRegion, PlainProgress, PullBoard } from "../../../lib/commands/pull_progress.ts";

const SIZE = { columns: 80, rows: 24 };

/** Returns a board with one pull whose layers went through these steps. */
function boardWith(
  ...steps: readonly (readonly [layer: string, status: string, current?: number, total?: number])[]
): PullBoard {
  const board = new PullBoard();
  board.begin("gcr.io/a/b:1", "gcr.io/a/b:1 from mirror.example/a/b:1");
  for (const [layer, status, current = 0, total = 0] of steps) {
    board.advance("gcr.io/a/b:1", { layer, status, ...(total > 0 && { current, total }) });
  }
  return board;
}

Deno.test("every layer has a line with its state, a bar and its size", () => {
  const board = boardWith(
    ["aaaaaaaaaaaa", "Pulling fs layer"],
    ["bbbbbbbbbbbb", "Already exists"],
    ["cccccccccccc", "Downloading", 30e6, 120e6],
    ["dddddddddddd", "Downloading", 5e6, 5e6],
    ["dddddddddddd", "Verifying Checksum"],
    ["eeeeeeeeeeee", "Downloading", 5e6, 5e6],
    ["eeeeeeeeeeee", "Extracting", 3],
    ["ffffffffffff", "Downloading", 100, 200],
    ["ffffffffffff", "Retrying in 3 seconds"],
    ["111111111111", "Downloading", 200, 200],
    ["111111111111", "Pull complete"],
  );
  assertEquals(board.lines(SIZE), [
    "gcr.io/a/b:1 from mirror.example/a/b:1",
    "  aaaaaaaaaaaa  waiting",
    "  bbbbbbbbbbbb  here",
    "  cccccccccccc  downloading  [=======>                  ]  30.0 MB of 120.0 MB",
    "  dddddddddddd  downloaded   [==========================]  5.0 MB",
    "  eeeeeeeeeeee  extracting   [==========================]  5.0 MB",
    "  ffffffffffff  retrying     [=============>            ]  200 B",
    "  111111111111  done         [==========================]  200 B",
  ]);
});

Deno.test("a pull that restarts at another mirror has no layers, and one that ends disappears", () => {
  const board = boardWith(["aaaaaaaaaaaa", "Downloading", 1, 2]);
  board.begin("gcr.io/a/b:1", "gcr.io/a/b:1 from mirror-2.example/a/b:1");
  assertEquals(board.lines(SIZE), ["gcr.io/a/b:1 from mirror-2.example/a/b:1"]);
  board.end("gcr.io/a/b:1");
  board.advance("gcr.io/a/b:1", { layer: "aaaaaaaaaaaa", status: "Downloading" });
  assertEquals(board.lines(SIZE), []);
});

Deno.test("the board fits the terminal, and finished layers are dropped first", () => {
  const layers = Array.from({ length: 30 }, (_, index) => index.toString(16).padStart(12, "0"));
  const board = boardWith(
    ...layers.map((layer) => [layer, "Downloading", 999.94e6, 999.94e6] as const),
    ...layers.slice(0, 20).map((layer) => [layer, "Pull complete"] as const),
  );
  for (const columns of [10, 40, 60, 80, 200]) {
    const lines = board.lines({ columns, rows: 24 });
    assert(lines.every((line) => line.length < columns), `${columns}: ${lines.join("\n")}`);
    assert(lines.length <= 22);
  }
  assertEquals(board.lines(SIZE).length, 11);
  assertEquals(board.lines(SIZE)[0], "gcr.io/a/b:1 from mirror.example/a/b:1 (20 of 30 layers done)");
  assertEquals(board.lines({ columns: 80, rows: 6 }).at(-1), "… and 8 more lines");
});

Deno.test("a region is redrawn in place, even in a terminal that became narrower, and leaves nothing behind", () => {
  const region = new LiveRegion();
  assertEquals(region.redraw(["one", "two"], 80), "one\ntwo\n");
  assert(region.shows(["one", "two"]) && !region.shows(["one"]));
  assertEquals(region.redraw(["x".repeat(50)], 80), `\r\x1b[2A\x1b[J${"x".repeat(50)}\n`);
  assertEquals(region.redraw([], 20), "\r\x1b[3A\x1b[J");
  assertEquals(region.redraw([], 20), "");
});

Deno.test("plain progress reports a layer once when it is complete, and a large layer also at quarters", () => {
  const plain = new PlainProgress();
  const tell = (layer: string, status: string, current?: number, total?: number) =>
    plain.line("a:1", { layer, status, ...(total !== undefined && { current: current ?? 0, total }) });
  assertEquals([tell("s", "Downloading", 1, 10), tell("s", "Downloading", 9, 10)], [undefined, undefined]);
  assertEquals(
    [tell("s", "Pull complete"), tell("s", "Pull complete")],
    ["a:1: layer s done (10 B)", undefined],
  );
  const quarters = [10, 30, 40, 80, 100].map((current) => tell("l", "Downloading", current * 1e6, 100e6));
  assertEquals(quarters, [
    undefined,
    "a:1: layer l 25 % of 100.0 MB",
    undefined,
    "a:1: layer l 75 % of 100.0 MB",
    undefined,
  ]);
  assertEquals(tell("h", "Already exists"), "a:1: layer h here");
});
