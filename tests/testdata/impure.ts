// What no pure module may do, one thing a line. tools/purity.ts fails unless the compiler refuses every one of them.

export const environment = () => Deno.env;
export const answer = () => fetch("http://127.0.0.1/");
export const line = () => console.log("a line");
export const stop = (signal: AbortSignal) => signal;
export const later = () => setTimeout(() => {}, 1);
export const hidden = () => globalThis.fetch;
export const age = () => performance.now();
export const dice = () => crypto.randomUUID();
