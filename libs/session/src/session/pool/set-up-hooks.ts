import { AsyncLocalStorage } from 'node:async_hooks';

import type { Connection, MikroORM } from '@mikro-orm/core';

import { checkSessionContext } from './pool-seams.js';

/** The argument of MikroORM's hooks: a connection of Kysely. */
interface HookedConnection {
  executeQuery(query: { readonly sql: unknown; readonly parameters: readonly never[] }): Promise<unknown>;
}

type Hook = (connection: unknown, ...rest: unknown[]) => unknown;
/** The hooks for each new connection, and for each check-out from the pool. */
type HookName = 'onCreateConnection' | 'onReserveConnection';

interface Hooked {
  readonly connected: boolean;
  readonly options: Partial<Record<HookName, Hook>>;
  composeSessionContextOnReserve?: (hook?: Hook) => Hook;
}

/** A connection of the pool that a hook sets up. */
export interface SetUpConnection {
  /** Returns whether the connection must be set up now. True only once. */
  becomesSetUp(): boolean;
  giveBack(): void;
}

/** A call of a hook for a connection that does not exist yet. */
export interface SetUp {
  readonly name: HookName;
  readonly run: () => unknown;
}

/** A statement that asks a connection for itself. Nothing is sent. */
export class ConnectionProbe<Connection> {
  connection: Connection | undefined;
}

/** Distinguishes the statements of MikroORM's hooks, which set up a connection, from those of its users. */
export class SetUpHooks {
  readonly #running = new AsyncLocalStorage<HookName>();

  /** @param arriving returns the object that replaces a connection which comes later */
  constructor(private readonly arriving: () => { readonly setUps: SetUp[] } | undefined) {}

  /** The hook that the running code belongs to. */
  get running(): HookName | undefined {
    return this.#running.getStore();
  }

  /** @returns false where a hook cannot be followed, because the pool has it already */
  follow(connection: Connection, { config }: MikroORM): boolean {
    const hooked = connection as unknown as Hooked;
    let isSetUp = config.get('sessionContext') === 'connection';
    if (isSetUp) {
      checkSessionContext(hooked);
    }
    // Seam: mikro-orm/connection-hooks
    const { composeSessionContextOnReserve: compose } = hooked;
    for (const name of ['onCreateConnection', 'onReserveConnection'] as const) {
      const hook = hooked.options[name] ?? (config.get(name) as Hook | undefined);
      if (hook !== undefined) {
        isSetUp = true;
        const wrapped = this.#wrap(name, hook);
        hooked.options[name] = wrapped;
        // The connection drops its copy of the options when it is closed, and reads them again.
        config.set(name, wrapped as never);
      }
    }
    if (compose !== undefined) {
      hooked.composeSessionContextOnReserve = (hook) => this.#wrap('onReserveConnection', compose.call(hooked, hook));
    }
    return !isSetUp || !hooked.connected;
  }

  /** Runs a hook for a connection. Closes the connection when that fails, because nobody would give it back. */
  async setUp(connection: SetUpConnection | undefined, { name, run }: SetUp): Promise<void> {
    if (name === 'onCreateConnection' && connection?.becomesSetUp() === false) {
      return;
    }
    try {
      await run();
    } catch (error) {
      connection?.giveBack();
      throw error;
    }
  }

  #wrap(name: HookName, hook: Hook): Hook {
    return (connection, ...rest) => {
      const run = (): unknown => this.#running.run(name, () => hook(connection, ...rest));
      const stand = this.arriving();
      if (stand !== undefined) {
        stand.setUps.push({ name, run });
        return undefined;
      }
      return this.setUp(findConnection(connection), { name, run });
    };
  }
}

/** Finds the connection of the pool for which a hook was called. */
// Seam: mikro-orm/connection-hooks
function findConnection(connection: unknown): SetUpConnection | undefined {
  const question = new ConnectionProbe<SetUpConnection>();
  void (connection as HookedConnection).executeQuery({ sql: question, parameters: [] });
  return question.connection;
}
