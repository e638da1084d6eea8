import {
  type AnyEntity,
  Collection,
  type EntityManager,
  helper,
  type MikroORM,
  RequestContext,
  TransactionContext,
  TransactionEventBroadcaster,
} from '@mikro-orm/core';

import { assertSeam, type Seam } from './assert-seam.js';

const seamOf = (seam: string): Seam => ({ seam, of: '@mikro-orm/core', loss: 'Sessions cannot be kept apart' });

const ENTITY_MANAGER = [
  'getContext',
  'fork',
  'flush',
  'tryFlush',
  'applyFilters',
  'setFlushMode',
  'stream',
  'transactional',
  'begin',
  'commit',
  'rollback',
  'isInTransaction',
  'getTransactionContext',
  'setTransactionContext',
  'resetTransactionContext',
];

const UNIT_OF_WORK = [
  'persist',
  'remove',
  'merge',
  'lock',
  'register',
  'computeChangeSet',
  'computeChangeSets',
  'getChangeSets',
  'getCollectionUpdates',
  'getIdentityMap',
  'getPersistStack',
  'getRemoveStack',
  'getOrphanRemoveStack',
  'shouldAutoFlush',
];

const WRAPPED_ENTITY = [
  '__meta',
  '__initialized',
  '__data',
  '__loadedProperties',
  'hasPrimaryKey',
  'getSerializedPrimaryKey',
];

const COLLECTION = [
  'getItems',
  'getSnapshot',
  'takeSnapshot',
  'isDirty',
  'setDirty',
  'addWithoutPropagation',
  'removeWithoutPropagation',
];

/**
 * Checks the parts of MikroORM that sessions need, before sessions change its EntityManager.
 *
 * @throws {SessionSetupError} when one of the parts is missing
 */
export function assertOrmSeams({ em, driver }: MikroORM): void {
  const fork = em.fork();
  const unitOfWork = fork.getUnitOfWork(false);
  assertSeam(fork, ENTITY_MANAGER, seamOf('mikro-orm/entity-manager'));
  assertSeam(unitOfWork, UNIT_OF_WORK, seamOf('mikro-orm/unit-of-work'));
  assertSeam(unitOfWork.getIdentityMap(), ['delete', 'store', 'getByEntity'], seamOf('mikro-orm/unit-of-work'));
  assertSeam(Collection.prototype, COLLECTION, seamOf('mikro-orm/collection'));
  assertSeam(em.getComparator(), ['prepareEntity', 'diffEntities'], seamOf('mikro-orm/entity-values'));
  assertSeam(em.getHydrator(), ['hydrate', 'hydrateReference'], seamOf('mikro-orm/entity-values'));
  assertSeam(
    TransactionContext,
    ['create', 'getEntityManager', 'currentTransactionContext'],
    seamOf('mikro-orm/contexts'),
  );
  assertSeam(RequestContext, ['create'], seamOf('mikro-orm/contexts'));
  assertSeam(new TransactionEventBroadcaster(fork), ['em', 'dispatchEvent'], seamOf('mikro-orm/broadcaster'));
  assertSeam(driver.getConnection('write'), ['begin', 'commit', 'rollback', 'execute'], seamOf('mikro-orm/connection'));
  assertSeam(
    driver.getPlatform().getExceptionConverter(),
    ['convertException'],
    seamOf('mikro-orm/exception-converter'),
  );
  const entity = [...em.getMetadata()].find(({ abstract, embeddable }) => !abstract && !embeddable);
  if (entity !== undefined) {
    const bare = Object.create(entity.prototype as object) as object;
    assertSeam(helper(bare), WRAPPED_ENTITY, seamOf('mikro-orm/wrapped-entity'));
    assertBuilder(fork, entity.class);
  }
}

/** @throws {SessionSetupError} when a query builder lacks the members that sessions replace */
function assertBuilder(em: EntityManager & { createQueryBuilder?: (of: unknown) => unknown }, entity: unknown): void {
  if (em.createQueryBuilder !== undefined) {
    const members = ['em', 'getConnection', 'getNativeQuery', 'clone'];
    assertSeam(em.createQueryBuilder(entity), members, seamOf('mikro-orm/query-builder'));
  }
}

/** @throws {SessionSetupError} when MikroORM no longer keeps its own state on a managed entity */
export function assertManaged(entity: AnyEntity): void {
  const { __em: em, __managed: isManaged, __originalEntityData: row } = helper(entity);
  if (em === undefined || !isManaged || row === undefined) {
    assertSeam(helper(entity), ['__em', '__managed', '__originalEntityData'], seamOf('mikro-orm/wrapped-entity'));
  }
}
