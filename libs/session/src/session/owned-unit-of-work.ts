import { type AnyEntity, type EntityData, type EntityManager, helper, UnitOfWork } from '@mikro-orm/core';

import { RECORD, type Recorded } from './recorded.js';
import { EntityOwnershipError } from './session-error.js';
import type { SessionRecord } from './session-record.js';

type Persist = UnitOfWork['persist'];
type Remove = UnitOfWork['remove'];
type Merge = UnitOfWork['merge'];
type Lock = UnitOfWork['lock'];
type Register = UnitOfWork['register'];

const MANAGER = Symbol('entity manager');
const CLAIM = Symbol('claim');

interface Claimed {
  /** The session that is to insert the entity. */
  [CLAIM]?: SessionRecord;
}

/**
 * Refuses entities of other live sessions. Every persist, remove and merge passes here, cascaded ones too. Tells what is
 * inserted, to undo it with the row.
 */
class OwnedUnitOfWork extends UnitOfWork {
  declare [RECORD]: SessionRecord;
  declare [MANAGER]: EntityManager;

  override persist(...args: Parameters<Persist>): ReturnType<Persist> {
    this[RECORD].claim(args[0], 'persist');
    return super.persist(...args);
  }

  override remove(...args: Parameters<Remove>): ReturnType<Remove> {
    this[RECORD].claim(args[0], 'remove');
    return super.remove(...args);
  }

  override merge(...args: Parameters<Merge>): ReturnType<Merge> {
    this[RECORD].claim(args[0], 'merge');
    return super.merge(...args);
  }

  override async lock(...args: Parameters<Lock>): Promise<void> {
    this[RECORD].claim(args[0], 'lock');
    return super.lock(...args);
  }

  /** The flush calls it with `refresh` for each row it has inserted. */
  override register<Entity extends object>(
    entity: Entity,
    data?: EntityData<Entity>,
    options?: Parameters<Register>[2],
  ): Entity {
    if (
      options?.refresh === true &&
      helper(entity).__originalEntityData === undefined &&
      this.getPersistStack().has(entity)
    ) {
      this[RECORD].inserted(this[MANAGER], entity);
    }
    return super.register(entity, data, options);
  }
}

/** Makes the unit of work of a session, or of a fork of it, refuse what belongs to others. */
export function guardUnitOfWork(em: EntityManager, record: SessionRecord): void {
  const unitOfWork = em.getUnitOfWork(false) as OwnedUnitOfWork;
  // MikroORM makes the unit of work itself, in a private field: a change of prototype is the only way in.
  Object.setPrototypeOf(unitOfWork, OwnedUnitOfWork.prototype);
  unitOfWork[RECORD] = record;
  unitOfWork[MANAGER] = em;
}

/**
 * Claims an entity for a session. A new one carries its claim: MikroORM writes its EntityManager on it only when it is
 * flushed.
 *
 * @throws {EntityOwnershipError} when another live session manages the entity
 */
export function claimEntity(entity: AnyEntity, record: SessionRecord, operation: string): void {
  const wrapped = helper(entity);
  const claimed = wrapped as Claimed;
  const manager: (EntityManager & Recorded) | undefined = wrapped.__em;
  const owner = manager === undefined ? claimed[CLAIM] : manager[RECORD];
  if (owner === record) {
    return;
  }
  if (owner?.isOpen === true) {
    const key = wrapped.hasPrimaryKey() ? ` ${wrapped.getSerializedPrimaryKey()}` : '';
    record.refuse(
      new EntityOwnershipError(`${wrapped.__meta.className}${key}`, operation, owner.scope.label, record.scope.label),
    );
    return;
  }
  if (manager === undefined && operation === 'persist') {
    claimed[CLAIM] = record;
  }
}
