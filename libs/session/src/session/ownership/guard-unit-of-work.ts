import { type AnyEntity, type EntityData, type EntityManager, helper, UnitOfWork } from '@mikro-orm/core';

import { assertManaged } from '../assert-orm-seams.js';
import { rowOf } from '../transaction/entity-values.js';
import { type KnownSession, STATE, type WithState } from '../known-session.js';
import { EntityOwnershipError } from '../session-error.js';
import { nameEntity } from './name-entity.js';

type Persist = UnitOfWork['persist'];
type Remove = UnitOfWork['remove'];
type Merge = UnitOfWork['merge'];
type Lock = UnitOfWork['lock'];
type Register = UnitOfWork['register'];
type ComputeChangeSet = UnitOfWork['computeChangeSet'];

const MANAGER = Symbol('entity manager');
const CLAIM = Symbol('claim');

interface Claimed {
  /** The unit of work in which the entity waits to be inserted. The claim counts only while the entity waits there. */
  [CLAIM]?: OwnedUnitOfWork;
}

/**
 * Refuses entities of other live sessions. Every persist, remove and merge passes here, also cascaded ones. Also notes
 * which entities are inserted, so that a rollback can undo that.
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

  /** Called for each entity that is loaded or upserted. */
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

  /** Every flush begins with this call. */
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
      // MikroORM writes extra updates after the change sets, where both would conflict.
      for (const [entity] of this.getExtraUpdates()) {
        undo.add(entity, rowOf(entity));
      }
    }
  }

  /** A subscriber to `onFlush` calls this to add to a flush. */
  override computeChangeSet(...args: Parameters<ComputeChangeSet>): ReturnType<ComputeChangeSet> {
    this[STATE].knownTransactions?.undoOf(this[MANAGER])?.add(args[0], rowOf(args[0]));
    return super.computeChangeSet(...args);
  }
}

const owned = OwnedUnitOfWork.prototype;

/**
 * Makes the unit of work of a session, or of a fork of it, refuse entities of other sessions.
 *
 * MikroORM makes the unit of work itself and keeps it in a private field, so that the object must be changed. Assigning
 * the methods takes a tenth of the time of a change of prototype, which would take a third of the time of a fork.
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
 * Claims an entity for a session. A new entity holds the claim itself: MikroORM sets its EntityManager only at the
 * flush.
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
    state.refuse(new EntityOwnershipError(nameEntity(entity), operation, owner.scope.label, state.scope.label));
    return;
  }
  // A transaction of the same session does not take over the claim: after its rollback, the entity still waits where it
  // was.
  if (manager === undefined && owner !== state && operation === 'persist') {
    claimed[CLAIM] = unitOfWork;
  }
}
