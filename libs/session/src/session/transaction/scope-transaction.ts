import type { KnownSession } from '../recorded.js';
import type { BeginOptions } from './begin-options.js';

/** The transaction of a session that belongs to the opener of its scope: no code within may end it. */
export class ScopeTransaction {
  private constructor(private readonly record: KnownSession) {}

  static async begin(record: KnownSession, options: BeginOptions): Promise<ScopeTransaction> {
    await record.session.begin(options);
    record.transactions.manage(record.session);
    return new ScopeTransaction(record);
  }

  async flush(): Promise<void> {
    await this.record.session.flush();
  }

  async commit(): Promise<void> {
    const { session, transactions } = this.record;
    transactions.unmanage(session);
    await session.commit();
  }

  /** Rolls back what may be open still. The session can be used for other work then. */
  async rollBack(): Promise<void> {
    const { isOpen, session, transactions } = this.record;
    if (!isOpen) {
      return;
    }
    transactions.unmanage(session);
    if (session.isInTransaction()) {
      await session.rollback();
    }
  }
}
