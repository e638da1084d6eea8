import { assertSeam, type Seam } from '../../assert-seam.js';
import { CheckedExecutor, type Executor } from './checked-executor.js';
import type { Owner } from './owner.js';

/** The little of a Kysely instance that is needed here. */
export interface KyselyLike {
  readonly isTransaction: boolean;
  getExecutor(): Executor;
  withPlugin(plugin: unknown): KyselyLike;
}

const EXECUTOR: Seam = {
  seam: 'kysely/executor',
  of: 'kysely',
  loss: 'What a session hands out cannot be checked when it is executed',
};

const MEMBERS: readonly (keyof Executor)[] = [
  'executeQuery',
  'provideConnection',
  'stream',
  'withConnectionProvider',
  'withPlugin',
  'withPlugins',
  'withPluginAtFront',
  'withoutPlugins',
];

/**
 * Makes a copy of a Kysely instance that asks before each statement whether its session may be used, as does all that is
 * made with it: a builder, a connection, a transaction.
 *
 * @throws {SessionSetupError} when Kysely cannot be copied so any more
 */
export function checkKysely(kysely: KyselyLike, owner: Owner): KyselyLike {
  // Seam: kysely/executor
  assertSeam(kysely, ['getExecutor', 'withPlugin'], EXECUTOR);
  const executor = kysely.getExecutor();
  assertSeam(executor, MEMBERS, EXECUTOR);
  if (executor instanceof CheckedExecutor) {
    return kysely;
  }
  const checked = new CheckedExecutor(executor, owner, kysely.isTransaction ? kysely : undefined);
  let isTaken = false;
  // Its copies alone can have another executor, and take what the executor answers here for the one with the plugin.
  executor.withPlugin = () => {
    isTaken = true;
    return checked;
  };
  try {
    const copy = kysely.withPlugin(undefined);
    assertSeam(isTaken ? executor : {}, ['withPlugin'], EXECUTOR);
    return copy;
  } finally {
    Reflect.deleteProperty(executor, 'withPlugin');
  }
}
