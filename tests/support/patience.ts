// How long tests wait for what must happen.

/**
 * Milliseconds after which something awaited is taken to never happen. Only a failure waits so long: a
 * busy machine is many times slower than an idle one, and that is nothing that a test is about.
 */
export const PATIENCE_MS = 180_000;
