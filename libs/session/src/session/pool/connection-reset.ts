import type { PoolClient } from './pool.js';
import { changesConnection } from './changes-connection.js';
import type { SetUpHooks } from './set-up-hooks.js';

/** When a connection is reset before it goes back to the pool. */
export type ResetConnections = 'never' | 'changed' | 'always';

/** The work of DISCARD ALL in one round trip. It keeps the role of the connection, and the cached plans. */
const RESET =
  'close all; set session authorization default; reset role; reset all; deallocate all; unlisten *; ' +
  'select pg_advisory_unlock_all(); discard temp; discard sequences';

type Send = PoolClient['query'];

/** Resets one connection to its state after it was opened. */
export class ConnectionReset {
  /** The statements that set up the connection. They are repeated after a reset. */
  readonly #setUp: (readonly [text: unknown, values: unknown])[] = [];
  #isChanged = false;

  constructor(
    private readonly when: ResetConnections,
    private readonly hooks: SetUpHooks,
  ) {}

  /** Notes a statement of a user of the connection, or of the hooks that set it up. */
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

  /** Whether the connection must be reset when a session, or other code, gives it back. */
  isDue(user: object | undefined): boolean {
    return this.when === 'always' || (this.#isChanged && user !== undefined);
  }

  async run(client: PoolClient, send: Send): Promise<void> {
    await send(RESET);
    if (client.connection !== undefined) {
      // Seam: pg/parsed-statements
      // The reset has removed the prepared statements from the server.
      client.connection.parsedStatements = {};
    }
    for (const [text, values] of this.#setUp) {
      await send(text, values);
    }
    this.#isChanged = false;
  }
}
