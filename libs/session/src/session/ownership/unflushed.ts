import { type AnyEntity, type EntityManager, helper } from '@mikro-orm/core';
import { Logger } from '@nestjs/common';

import { nameEntity } from './name-entity.js';
import type { OnMisuse } from '../scope/misuse.js';
import type { ScopeEnding } from '../scope/scope-ending.js';
import { UnflushedChangesError } from '../session-error.js';

/**
 * What happens to entities that were persisted, removed or changed, but not flushed, when their scope ends without an
 * error.
 */
export type Unflushed = 'warn' | 'error' | 'ignore';

interface FlushedSession {
  readonly scope: { readonly label: string };
  readonly session: EntityManager;
}

interface UnflushedPolicy {
  readonly unflushed: Unflushed;
  readonly onMisuse: OnMisuse;
}

const GOOD_ENDINGS: ReadonlySet<ScopeEnding> = new Set(['returned', 'responded', 'disposed']);

/**
 * Looks for lost changes. Only the mode `error` finds entities that were changed and not persisted again: it computes
 * the change sets of the whole identity map, which costs as much as a flush without its SQL.
 *
 * @throws {UnflushedChangesError} in the mode `error`
 */
export function assertFlushed(state: FlushedSession, ending: ScopeEnding, policy: UnflushedPolicy): void {
  const { unflushed: mode, onMisuse } = policy;
  if (mode === 'ignore' || !GOOD_ENDINGS.has(ending)) {
    return;
  }
  const unitOfWork = state.session.getUnitOfWork(false);
  if (mode === 'warn' && unitOfWork.getPersistStack().size === 0 && unitOfWork.getRemoveStack().size === 0) {
    return;
  }
  const names = [...findUnflushed(state, mode)].map(nameEntity);
  if (names.length === 0) {
    return;
  }
  const shown = [...new Set(names)].slice(0, 10).join(', ');
  const message =
    `The scope "${state.scope.label}" ended with ${names.length} unflushed change(s), which are lost: ${shown}. ` +
    'Call session.flush(), or do the work in SessionFactory.begin().';
  onMisuse({ code: 'UNFLUSHED_CHANGES', scope: state.scope.label, message });
  if (mode === 'error') {
    throw new UnflushedChangesError(message);
  }
  new Logger('Session').warn(message);
}

function findUnflushed({ session }: FlushedSession, mode: 'warn' | 'error'): Set<AnyEntity> {
  const unitOfWork = session.getUnitOfWork(false);
  const added = [...unitOfWork.getPersistStack()].filter((entity) => helper(entity).__originalEntityData === undefined);
  const found = new Set<AnyEntity>([...added, ...unitOfWork.getRemoveStack()]);
  if (mode === 'error') {
    // Seam: mikro-orm/unit-of-work
    unitOfWork.computeChangeSets();
    for (const { entity } of unitOfWork.getChangeSets()) {
      found.add(entity);
    }
  }
  return found;
}
