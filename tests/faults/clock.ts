// Loaded before the program: a clock on the wall that a signal puts forward or back by a day. Timers run on, as they do
// when somebody sets the clock of a host.

const DAY_MS = 24 * 60 * 60 * 1000;

const trueNow = Date.now;
let offset = 0;
Date.now = () => trueNow() + offset;

Deno.addSignalListener("SIGUSR2", () => offset += DAY_MS);
Deno.addSignalListener("SIGWINCH", () => offset -= DAY_MS);
