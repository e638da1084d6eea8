import { SessionSetupError } from '../../session/session-error.js';
import type { BeginOptions, TransactionDefaults } from '../../session/transaction/begin-options.js';
import type { QueueHandler } from './find-handlers.js';

type Level = BeginOptions['isolationLevel'];

/** The transactions of a handler. They write by nature: the job is completed in them. */
export class HandlerTransaction {
  readonly options: BeginOptions;
  readonly #level: Level;
  readonly #handler: QueueHandler;

  constructor(handler: QueueHandler, defaults: TransactionDefaults = {}) {
    const { transaction } = handler.options;
    this.options = { ...(defaults.readOnly === true && { readOnly: false }), ...transaction };
    this.#level = transaction?.isolationLevel ?? defaults.isolationLevel;
    this.#handler = handler;
  }

  /** Whether the completion of a job fails when another connection has changed the job in the meantime. */
  get hasSnapshot(): boolean {
    return this.#level !== undefined && !['read committed', 'read uncommitted'].includes(this.#level);
  }

  /**
   * Refuses jobs with a heartbeat where it would fail their completion.
   *
   * @throws {SessionSetupError}
   */
  assertFits(heartbeatSeconds: number | null | undefined): void {
    if (this.hasSnapshot && typeof heartbeatSeconds === 'number' && heartbeatSeconds > 0) {
      const { handler, options } = this.#handler;
      throw new SessionSetupError(
        `The handler "${handler.name}" of the queue "${options.queue}" has transactions with the isolation level ` +
          `"${this.#level}", and its jobs have a heartbeat, which changes the job meanwhile: the completion of each would ` +
          "fail. Give the handler `transaction: { isolationLevel: 'read committed' }`, or set `expireInSeconds` and no " +
          '`heartbeatSeconds`.',
      );
    }
  }
}
