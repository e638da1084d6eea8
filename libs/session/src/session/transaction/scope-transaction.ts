import type { KnownSession } from '../known-session.js';
import type { BeginOptions } from './begin-options.js';

/** The transaction of a session that belongs to the opener of its scope: no code within may end it. */
export class ScopeTransaction {
  private constructor(private readonly state: KnownSession) {}

  static async begin(state: KnownSession, options: BeginOptions): Promise<ScopeTransaction> {
    await state.session.begin(options);
    state.transactions.manage(state.session);
    return new ScopeTransaction(state);
  }

  async flush(): Promise<void> {
    await this.state.session.flush();
  }

  async commit(): Promise<void> {
    const { session, transactions } = this.state;
    transactions.unmanage(session);
    await session.commit();
  }

  /** Rolls back what may be open still. The session can be used for other work then. */
  async rollBack(): Promise<void> {
    const { isOpen, session, transactions } = this.state;
    if (!isOpen) {
      return;
    }
    transactions.unmanage(session);
    if (session.isInTransaction()) {
      await session.rollback();
    }
  }
}
