// Counts how many different members of a group failed lately. Time is an argument.

/** Members by group, each with the time of its last failure. */
export class Tally {
  readonly #groups = new Map<string, Map<string, number>>();
  readonly #forgetMs: number;

  /** A member counts for `forgetMs` after its last failure. */
  constructor(forgetMs: number) {
    this.#forgetMs = forgetMs;
  }

  /** Adds a failure at `now`; returns how many members of the group count. */
  add(group: string, member: string, now: number): number {
    this.#forgetOld(now);
    const members = this.#groups.get(group) ?? new Map<string, number>();
    members.set(member, now);
    this.#groups.set(group, members);
    return members.size;
  }

  clear(group: string): void {
    this.#groups.delete(group);
  }

  /** Clears the groups for which `isGone` returns true. */
  clearIf(isGone: (group: string) => boolean): void {
    for (const group of this.#groups.keys()) if (isGone(group)) this.#groups.delete(group);
  }

  #forgetOld(now: number): void {
    for (const [group, members] of this.#groups) {
      for (const [member, at] of members) if (now >= at + this.#forgetMs) members.delete(member);
      if (members.size === 0) this.#groups.delete(group);
    }
  }
}
