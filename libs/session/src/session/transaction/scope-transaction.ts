import { type KnownSession, TAKE_OPTIONS } from '../known-session.js';
import type { BeginOptions } from './begin-options.js';

/** The transaction of a session that belongs to the opener of the scope. Code inside the scope may not end it. */
export class ScopeTransaction {
  private constructor(private readonly state: KnownSession) {}

  static async begin(state: KnownSession, options: BeginOptions): Promise<ScopeTransaction> {
    const { session } = state;
    // MikroORM's begin() drops them: its transactional() gives them to a fork.
    session[TAKE_OPTIONS]?.(options);
    await session.begin(options);
    state.transactions.manage(session);
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

  /** Rolls back the transaction if it is still open. The session can be used for other work afterwards. */
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
