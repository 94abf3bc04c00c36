// Loaded before the program: signals move the wall clock forward or back by a day. Timers are not
// affected, as when the clock of a host is set.

const DAY_MS = 24 * 60 * 60 * 1000;

const trueNow = Date.now;
let offset = 0;
Date.now = () => trueNow() + offset;

Deno.addSignalListener("SIGUSR2", () => offset += DAY_MS);
Deno.addSignalListener("SIGWINCH", () => offset -= DAY_MS);
