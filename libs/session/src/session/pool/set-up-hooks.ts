import { AsyncLocalStorage } from 'node:async_hooks';

import type { Connection, MikroORM } from '@mikro-orm/core';

import { checkSessionContext } from './pool-seams.js';

type Hook = (connection: unknown, ...rest: unknown[]) => unknown;
/** A hook for each new connection, or for each time that one is taken from the pool. */
type HookName = 'onCreateConnection' | 'onReserveConnection';

interface Hooked {
  readonly connected: boolean;
  readonly options: Partial<Record<HookName, Hook>>;
  composeSessionContextOnReserve?: (hook?: Hook) => Hook;
}

/** Tells the statements by which MikroORM's hooks set a connection up from those of whoever uses it. */
export class SetUpHooks {
  readonly #running = new AsyncLocalStorage<HookName>();

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
        hooked.options[name] = this.#wrap(name, hook);
      }
    }
    if (compose !== undefined) {
      hooked.composeSessionContextOnReserve = (hook) => this.#wrap('onReserveConnection', compose.call(hooked, hook));
    }
    return !isSetUp || !hooked.connected;
  }

  #wrap(name: HookName, hook: Hook): Hook {
    return (...args) => this.#running.run(name, () => hook(...args));
  }
}
