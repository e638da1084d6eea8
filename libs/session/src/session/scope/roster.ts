/** The links of a member. A member is in one roster at a time. */
export interface Enrolled<Member> {
  roster?: object | undefined;
  before?: Member | undefined;
  after?: Member | undefined;
}

/**
 * A set in the order of arrival, for members that come and go all the time. Each member holds its own links. A
 * long-lived Set allocates its tables in the old generation of the heap, which keeps removed members until the next
 * full garbage collection.
 */
export class Roster<Member extends Enrolled<Member>> implements Iterable<Member> {
  #first: Member | undefined;
  #last: Member | undefined;

  get isEmpty(): boolean {
    return this.#first === undefined;
  }

  has(member: Member): boolean {
    return member.roster === this;
  }

  add(member: Member): void {
    if (this.has(member)) {
      return;
    }
    member.roster = this;
    member.before = this.#last;
    if (this.#last === undefined) {
      this.#first = member;
    } else {
      this.#last.after = member;
    }
    this.#last = member;
  }

  /** Removes a member. Returns whether it was there. */
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
    member.roster = undefined;
    member.before = undefined;
    member.after = undefined;
    return true;
  }

  /** The loop may delete the current member. */
  *[Symbol.iterator](): Iterator<Member> {
    let next = this.#first;
    while (next !== undefined) {
      const member = next;
      next = member.after;
      yield member;
    }
  }
}
