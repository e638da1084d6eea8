interface TransactionState {
  /** Whether the transaction was begun on the server. */
  readonly isStarted: boolean;
  /** Whether the transaction has failed, and accepts no statement any more. */
  readonly hasFailed: boolean;
}

// Seam: kysely/savepoint
const SAVEPOINT = /^(savepoint|release|rollback to)(?: savepoint)? "?(trx\d+)"?$/;

/** Whether a statement begins or ends a savepoint of MikroORM, in the form that Kysely writes. */
export function isSavepointStatement(text: unknown): boolean {
  return typeof text === 'string' && SAVEPOINT.test(text);
}

/** Makes the answer that the server would give to a statement that is not sent. */
export function localAnswer(command: string, rows: readonly object[] = []): unknown {
  return { command, rows, rowCount: rows.length };
}

/**
 * Holds the statements that begin a transaction, configure it and make savepoints in it, until they are sent together
 * with the next statement.
 */
export class WithheldStatements {
  #texts: string[] = [];

  get isEmpty(): boolean {
    return this.#texts.length === 0;
  }

  add(sql: string): void {
    this.#texts.push(sql);
  }

  /** Removes and returns all statements, to send them. */
  take(): readonly string[] {
    return this.#texts.splice(0);
  }

  /**
   * Answers a statement for a savepoint or transaction that was never sent. Returns undefined for a statement that must
   * be sent.
   */
  answer(sql: string, { isStarted, hasFailed }: TransactionState): unknown {
    const [, command = sql, name] = SAVEPOINT.exec(sql) ?? [];
    switch (command) {
      case 'savepoint':
        if (hasFailed) {
          return undefined;
        }
        this.add(sql);
        return localAnswer('SAVEPOINT');
      case 'release':
      case 'rollback to':
        return this.#leaveSavepoint(command, `savepoint "${name}"`);
      case 'commit':
      case 'rollback':
        this.#texts = [];
        return isStarted ? undefined : localAnswer(command.toUpperCase());
      default:
        return undefined;
    }
  }

  #leaveSavepoint(command: 'release' | 'rollback to', savepoint: string): unknown {
    const index = this.#texts.lastIndexOf(savepoint);
    if (index < 0) {
      // The withheld statements belong to the part that is undone.
      this.#texts = [];
      return undefined;
    }
    const isReleased = command === 'release';
    this.#texts.length = isReleased ? index : index + 1;
    return localAnswer(isReleased ? 'RELEASE' : 'ROLLBACK');
  }
}
