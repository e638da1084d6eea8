import type { EndedScope } from '../state/inspector-state.js';

/** Puts scopes into lanes, so that none covers another. A scope keeps its lane. */
export class Lanes {
  #lanes: EndedScope[][] = [];
  #latest = 0;

  get all(): readonly (readonly EndedScope[])[] {
    return this.#lanes;
  }

  update(scopes: readonly EndedScope[]): void {
    const oldest = scopes[0]?.key ?? Infinity;
    if ((scopes.at(-1)?.key ?? 0) < this.#latest) {
      // The server has restarted.
      this.#lanes = [];
      this.#latest = 0;
    }
    this.#lanes = this.#lanes.map((lane) =>
      (lane[0]?.key ?? oldest) < oldest ? lane.filter(({ key }) => key >= oldest) : lane,
    );
    while (this.#lanes.at(-1)?.length === 0) {
      this.#lanes.pop();
    }
    const added = scopes.filter(({ key }) => key > this.#latest).toSorted((a, b) => a.openedAt - b.openedAt);
    added.forEach((scope) => this.#place(scope));
    this.#latest = scopes.at(-1)?.key ?? this.#latest;
  }

  #place(scope: EndedScope): void {
    const free = this.#lanes.find((lane) => !lane.some((other) => covers(other, scope)));
    if (free === undefined) {
      this.#lanes.push([scope]);
    } else {
      free.push(scope);
    }
  }
}

function covers(a: EndedScope, b: EndedScope): boolean {
  return a.openedAt < b.openedAt + b.duration && b.openedAt < a.openedAt + a.duration;
}
