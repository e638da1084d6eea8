import type { PoolClient } from './pool.js';
import { changesConnection } from './changes-connection.js';
import type { SetUpHooks } from './set-up-hooks.js';

/** When a connection is made as it was, before it goes back to the pool. */
export type ResetConnections = 'never' | 'changed' | 'always';

/** DISCARD ALL in one round trip, with the role that the connection was opened with, and without the plans. */
const RESET =
  'close all; set session authorization default; reset role; reset all; deallocate all; unlisten *; ' +
  'select pg_advisory_unlock_all(); discard temp; discard sequences';

type Send = PoolClient['query'];

/** Makes one connection as it was when it was opened. */
export class ConnectionReset {
  /** What set the connection up, and has to be done again. */
  readonly #setUp: (readonly [text: unknown, values: unknown])[] = [];
  #isChanged = false;

  constructor(
    private readonly when: ResetConnections,
    private readonly hooks: SetUpHooks,
  ) {}

  /** Notes a statement of whoever uses the connection, or of what sets it up. */
  note(sql: string, statement: { readonly text: unknown; readonly values: unknown; readonly isGiven: boolean }): void {
    if (this.when === 'never' || !changesConnection(sql)) {
      return;
    }
    const { text, values, isGiven } = statement;
    const hook = isGiven ? this.hooks.running : 'onCreateConnection';
    if (hook === undefined) {
      this.#isChanged = true;
    } else if (hook === 'onCreateConnection') {
      this.#setUp.push([text, typeof values === 'function' ? undefined : values]);
    }
  }

  /** Whether the connection is to be reset now that a session, or somebody else, gives it back. */
  isDue(user: object | undefined): boolean {
    return this.when === 'always' || (this.#isChanged && user !== undefined);
  }

  async run(client: PoolClient, send: Send): Promise<void> {
    await send(RESET);
    if (client.connection !== undefined) {
      // Seam: pg/parsed-statements
      // They are gone from the server.
      client.connection.parsedStatements = {};
    }
    for (const [text, values] of this.#setUp) {
      await send(text, values);
    }
    this.#isChanged = false;
  }
}
