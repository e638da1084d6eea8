import type { Scope } from './scope/scope.js';
import type { ScopeStorage } from './scope/scope-storage.js';

/** A scope that has a session now. */
export interface LiveScopeInfo extends Pick<Scope, 'id' | 'kind' | 'label' | 'openedAt' | 'state'> {
  /** Milliseconds since the scope was opened. */
  readonly age: number;
  /** How many connections its open transactions hold. */
  readonly heldConnections: number;
  /** Milliseconds since its last statement, while an open transaction holds a connection. 0 while a statement runs. */
  readonly heldIdleFor: number;
}

/** Lists the scopes of the application that have a session now, on any connection: for a health page or a test. */
export class SessionRegistry {
  static {
    // NestJS shows this name in its error when no module provides the class.
    Object.defineProperty(this, 'name', { value: 'SessionRegistry (of SessionModule.forRoot())' });
  }

  constructor(private readonly storage: ScopeStorage) {}

  /** Returns the live scopes, the oldest first. */
  list(): LiveScopeInfo[] {
    return [...this.storage.live].map(({ id, kind, label, openedAt, state, members }) => ({
      id,
      kind,
      label,
      openedAt,
      state,
      age: Date.now() - openedAt.getTime(),
      heldConnections: members.reduce((sum, member) => sum + member.heldConnections, 0),
      heldIdleFor: Math.max(0, ...members.map((member) => member.heldIdleFor)),
    }));
  }
}
