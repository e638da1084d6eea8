import { assertSeam, type Seam } from '../../assert-seam.js';
import { CheckedExecutor, type Executor } from './checked-executor.js';
import type { Owner } from './owner.js';

/** The members of a Kysely instance that are used here. */
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
 * Makes a copy of a Kysely instance that checks before each statement that its session may be used. The builders,
 * connections and transactions that are made with the copy check too.
 *
 * @throws {SessionSetupError} when Kysely lacks the members that the copy needs
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
  // Only a copy of a Kysely instance can have another executor. Kysely makes the copy with the executor that this
  // method returns.
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
