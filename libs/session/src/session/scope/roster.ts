/** The links of a member, which stands in one roster at a time. */
export interface Enrolled<Member> {
  before?: Member | undefined;
  after?: Member | undefined;
}

/**
 * A set in the order of arrival whose members come and go all the time. Each carries its own links: a Set that has lived
 * for long makes its new tables in old memory, where what has left it is kept until the next full garbage collection.
 */
export class Roster<Member extends Enrolled<Member>> implements Iterable<Member> {
  #first: Member | undefined;
  #last: Member | undefined;

  has(member: Member): boolean {
    return member === this.#first || member.before !== undefined;
  }

  add(member: Member): void {
    if (this.has(member)) {
      return;
    }
    member.before = this.#last;
    if (this.#last === undefined) {
      this.#first = member;
    } else {
      this.#last.after = member;
    }
    this.#last = member;
  }

  /** Whether the member was there. */
  delete(member: Member): boolean {
    if (!this.has(member)) {
      return false;
    }
    const { before, after } = member;
    if (before === undefined) {
      this.#first = after;
    } else {
      before.after = after;
    }
    if (after === undefined) {
      this.#last = before;
    } else {
      after.before = before;
    }
    member.before = undefined;
    member.after = undefined;
    return true;
  }

  /** The member at hand may leave. */
  *[Symbol.iterator](): Iterator<Member> {
    let next = this.#first;
    while (next !== undefined) {
      const member = next;
      next = member.after;
      yield member;
    }
  }
}
