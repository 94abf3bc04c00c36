// Makes what the program prints the same in every run, to be held against a golden file.

/** The text with its folder as `/node`, and ports, dates, times and spans replaced by ones that do not move. */
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
