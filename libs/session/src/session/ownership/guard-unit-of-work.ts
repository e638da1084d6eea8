import { type AnyEntity, type EntityData, type EntityManager, helper, UnitOfWork } from '@mikro-orm/core';

import { assertManaged } from '../assert-orm-seams.js';
import { rowOf } from '../transaction/entity-values.js';
import { type KnownSession, STATE, type WithState } from '../known-session.js';
import { EntityOwnershipError } from '../session-error.js';

type Persist = UnitOfWork['persist'];
type Remove = UnitOfWork['remove'];
type Merge = UnitOfWork['merge'];
type Lock = UnitOfWork['lock'];
type Register = UnitOfWork['register'];
type ComputeChangeSet = UnitOfWork['computeChangeSet'];

const MANAGER = Symbol('entity manager');
const CLAIM = Symbol('claim');

interface Claimed {
  /** Where the entity waits to be inserted, as long as it is still there. */
  [CLAIM]?: OwnedUnitOfWork;
}

/**
 * Refuses entities of other live sessions. Every persist, remove and merge passes here, cascaded ones too. Tells what is
 * inserted, to undo it with the row.
 */
class OwnedUnitOfWork extends UnitOfWork {
  declare [STATE]: KnownSession;
  declare [MANAGER]: EntityManager;

  override persist(...args: Parameters<Persist>): ReturnType<Persist> {
    claimEntity(args[0], this, 'persist');
    return super.persist(...args);
  }

  override remove(...args: Parameters<Remove>): ReturnType<Remove> {
    claimEntity(args[0], this, 'remove');
    return super.remove(...args);
  }

  override merge(...args: Parameters<Merge>): ReturnType<Merge> {
    claimEntity(args[0], this, 'merge');
    return super.merge(...args);
  }

  override async lock(...args: Parameters<Lock>): Promise<void> {
    claimEntity(args[0], this, 'lock');
    return super.lock(...args);
  }

  /** Called for each entity that is loaded, and for those of an upsert. */
  override register<Entity extends object>(
    entity: Entity,
    data?: EntityData<Entity>,
    options?: Parameters<Register>[2],
  ): Entity {
    if (options?.loaded === true || options?.refresh === true) {
      this[STATE].knownTransactions?.undoOf(this[MANAGER])?.meet(entity);
    }
    const registered = super.register(entity, data, options);
    if (data !== undefined && options?.newEntity !== true) {
      assertManaged(registered);
    }
    return registered;
  }

  /** Every flush begins with it. */
  override computeChangeSets(): void {
    super.computeChangeSets();
    const undo = this[STATE].knownTransactions?.undoOf(this[MANAGER]);
    if (undo !== undefined) {
      for (const { entity } of this.getChangeSets()) {
        undo.add(entity, rowOf(entity));
      }
      for (const { owner } of this.getCollectionUpdates()) {
        undo.add(owner, rowOf(owner));
      }
      // What would be in conflict with a change set is written after it.
      for (const [entity] of this.getExtraUpdates()) {
        undo.add(entity, rowOf(entity));
      }
    }
  }

  /** A subscriber to `onFlush` adds to a flush with it. */
  override computeChangeSet(...args: Parameters<ComputeChangeSet>): ReturnType<ComputeChangeSet> {
    this[STATE].knownTransactions?.undoOf(this[MANAGER])?.add(args[0], rowOf(args[0]));
    return super.computeChangeSet(...args);
  }
}

const owned = OwnedUnitOfWork.prototype;

/**
 * Makes the unit of work of a session, or of a fork of it, refuse what belongs to others.
 *
 * MikroORM makes the unit of work itself, in a private field: to change that one is the only way in. To give it the
 * methods takes a tenth of the time of a change of prototype, which is a third of that of the fork.
 */
export function guardUnitOfWork(em: EntityManager, state: KnownSession): void {
  // Seam: mikro-orm/unit-of-work
  const unitOfWork = em.getUnitOfWork(false) as OwnedUnitOfWork;
  unitOfWork[STATE] = state;
  unitOfWork[MANAGER] = em;
  unitOfWork.persist = owned.persist;
  unitOfWork.remove = owned.remove;
  unitOfWork.merge = owned.merge;
  unitOfWork.lock = owned.lock;
  unitOfWork.register = owned.register;
  unitOfWork.computeChangeSets = owned.computeChangeSets;
  unitOfWork.computeChangeSet = owned.computeChangeSet;
}

/**
 * Claims an entity for a session. A new one carries its claim: MikroORM writes its EntityManager on it only when it is
 * flushed.
 *
 * @throws {EntityOwnershipError} when another live session manages the entity
 */
function claimEntity(entity: AnyEntity, unitOfWork: OwnedUnitOfWork, operation: string): void {
  const state = unitOfWork[STATE];
  if (!state.checksOwnership) {
    return;
  }
  // Seam: mikro-orm/wrapped-entity
  const wrapped = helper(entity);
  const claimed = wrapped as Claimed;
  const manager: (EntityManager & WithState) | undefined = wrapped.__em;
  const claim = manager === undefined ? claimed[CLAIM] : undefined;
  const isWaiting = claim?.getPersistStack().has(entity) === true;
  const owner = isWaiting ? claim?.[STATE] : manager?.[STATE];
  if (owner !== state && owner?.isOpen === true) {
    const key = wrapped.hasPrimaryKey() ? ` ${wrapped.getSerializedPrimaryKey()}` : '';
    state.refuse(
      new EntityOwnershipError(`${wrapped.__meta.className}${key}`, operation, owner.scope.label, state.scope.label),
    );
    return;
  }
  // A transaction of the same session leaves it its claim: when it is rolled back, the entity waits there still.
  if (manager === undefined && owner !== state && operation === 'persist') {
    claimed[CLAIM] = unitOfWork;
  }
}
