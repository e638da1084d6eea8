import type { Cursor } from '../session/pool/follow-cursor.js';
import type { OuterTransaction } from './outer-transaction.js';
import { terminated } from './terminated.js';

/** The cursors that were opened outside of transactions, each in a savepoint of its own. */
export class TestCursors {
  readonly #savepoints = new Map<Cursor, Promise<string>>();

  constructor(private readonly outer: OuterTransaction) {}

  get areOpen(): boolean {
    return this.#savepoints.size > 0;
  }

  /** Called before a cursor is sent. */
  add(cursor: Cursor): void {
    const savepoint = this.outer.mark();
    savepoint.catch(() => undefined);
    this.#savepoints.set(cursor, savepoint);
  }

  /** Ends the savepoints of the cursors that have been read to the end or closed. */
  async end(): Promise<void> {
    for (const savepoint of [...this.#savepoints.values()].toReversed()) {
      const name = await savepoint;
      await this.outer.keep(name).catch(() => this.outer.undo(name));
    }
    this.#savepoints.clear();
  }

  async close(): Promise<void> {
    for (const [cursor, savepoint] of this.#savepoints) {
      // A cursor that was closed early would otherwise return no rows, as at its end.
      cursor.read = async () => {
        throw terminated();
      };
      await savepoint;
      if (!this.outer.isReady) {
        // Uses the `close` of the class: that of the object was replaced when its connection ended.
        const closed = (Object.getPrototypeOf(cursor) as Cursor).close.call(cursor);
        await Promise.race([closed, this.outer.lost]);
      }
    }
    await this.end();
  }
}
