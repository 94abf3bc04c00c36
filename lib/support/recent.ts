// Maps that keep only what was set last, so that no node makes them grow without limit.

/** Sets a key as the latest of the map, which then forgets the oldest of more than `most`. */
export function setRecent<Key, Value>(map: Map<Key, Value>, key: Key, value: Value, most: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > most) map.delete(map.keys().next().value!);
}
