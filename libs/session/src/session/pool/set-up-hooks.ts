import { AsyncLocalStorage } from 'node:async_hooks';

import type { Connection, MikroORM } from '@mikro-orm/core';

import { checkSessionContext } from './pool-seams.js';

/** What MikroORM's hooks are called with: one of Kysely's connections. */
interface HookedConnection {
  executeQuery(query: { readonly sql: unknown; readonly parameters: readonly never[] }): Promise<unknown>;
}

type Hook = (connection: unknown, ...rest: unknown[]) => unknown;
/** A hook for each new connection, or for each time that one is taken from the pool. */
type HookName = 'onCreateConnection' | 'onReserveConnection';

interface Hooked {
  readonly connected: boolean;
  readonly options: Partial<Record<HookName, Hook>>;
  composeSessionContextOnReserve?: (hook?: Hook) => Hook;
}

/** A connection of the pool that a hook sets up. */
export interface SetUpConnection {
  /** Whether it is to be set up now, which is done once. */
  becomesSetUp(): boolean;
  giveBack(): void;
}

/** A call of a hook for a connection that is not there yet. */
export interface SetUp {
  readonly name: HookName;
  readonly run: () => unknown;
}

/** Asked of a connection as a statement: it answers with itself, and sends nothing. */
export class WhoIsThere<Connection> {
  connection: Connection | undefined;
}

/** Tells the statements by which MikroORM's hooks set a connection up from those of whoever uses it. */
export class SetUpHooks {
  readonly #running = new AsyncLocalStorage<HookName>();

  /**
   * @param arriving finds what stands for the connection that is being taken from the pool, if that comes later
   */
  constructor(private readonly arriving: () => { readonly setUps: SetUp[] } | undefined) {}

  /** The hook that runs the current statement. */
  get running(): HookName | undefined {
    return this.#running.getStore();
  }

  /**
   * @returns false where there is a hook that cannot be followed any more: the pool has it already
   */
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
        // The connection drops its copy of the options when it is closed.
        config.set(name, wrapped as never);
      }
    }
    if (compose !== undefined) {
      hooked.composeSessionContextOnReserve = (hook) => this.#wrap('onReserveConnection', compose.call(hooked, hook));
    }
    return !isSetUp || !hooked.connected;
  }

  /** Runs a hook for a connection, which is closed when that fails: nobody would give it back. */
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

/** Finds which connection of the pool a hook was called with. */
// Seam: mikro-orm/connection-hooks
function findConnection(connection: unknown): SetUpConnection | undefined {
  const question = new WhoIsThere<SetUpConnection>();
  void (connection as HookedConnection).executeQuery({ sql: question, parameters: [] });
  return question.connection;
}
