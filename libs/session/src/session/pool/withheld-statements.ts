interface TransactionState {
  /** Whether it was begun on the server. */
  readonly isStarted: boolean;
  /** Whether it takes no statement any more. */
  readonly hasFailed: boolean;
}

// Seam: kysely/savepoint
const SAVEPOINT = /^(savepoint|release|rollback to)(?: savepoint)? "?(trx\d+)"?$/;

/** Whether a statement is one by which Kysely begins or ends a savepoint of MikroORM. */
export function isSavepointStatement(text: unknown): boolean {
  return typeof text === 'string' && SAVEPOINT.test(text);
}

/** What the server would answer to a statement that is not sent. */
export function localAnswer(command: string, rows: readonly object[] = []): unknown {
  return { command, rows, rowCount: rows.length };
}

/** The statements that begin a transaction, set it and make savepoints in it, until they are sent with the next one. */
export class WithheldStatements {
  #texts: string[] = [];

  get isEmpty(): boolean {
    return this.#texts.length === 0;
  }

  add(sql: string): void {
    this.#texts.push(sql);
  }

  /** Takes them all, to be sent. */
  take(): readonly string[] {
    return this.#texts.splice(0);
  }

  /** Answers to what begins or ends a part that was never sent. Undefined for what is to be sent. */
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
      // Those that are withheld are within it.
      this.#texts = [];
      return undefined;
    }
    const isReleased = command === 'release';
    this.#texts.length = isReleased ? index : index + 1;
    return localAnswer(isReleased ? 'RELEASE' : 'ROLLBACK');
  }
}
