// Makes the program's output the same in every run, for comparison with a golden file.

/** Returns the text with `dir` as `/node`, and with fixed ports, dates, times and spans. */
export function settled(text: string, dir: string): string {
  return text.replaceAll(dir, "/node")
    .replace(/localhost:\d+/g, "localhost:10250")
    .replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, "2026-11-01 01:11:53")
    .replace(/\d{4}-\d\d-\d\d(?!T| )/g, "2026-11-01")
    .replace(/"time": "[^"]*"/g, '"time": "2026-11-01T01:11:53.000Z"')
    .replace(/"seconds": [\d.]+/g, '"seconds": 0.5')
    .replace(/\d+ s ago/g, "3 s ago")
    .replace(/another \d+ s/g, "another 57 s")
    .replace(/in \d+\.\d s$/gm, "in 0.5 s");
}
