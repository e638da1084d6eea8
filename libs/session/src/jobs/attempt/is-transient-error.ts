import { DriverException } from '@mikro-orm/core';

import { isPassingTrouble } from '../../session/drivers/find-knowledge.js';
import { readProperty } from '../../session/read-property.js';
import { ConnectionLostError, SessionError } from '../../session/session-error.js';
import { listErrors, listErrorParts } from './list-error-parts.js';
import { isEndUnknown } from './has-unknown-end.js';

/**
 * Serialisation failure, deadlock, a lock that was not free, a broken connection, no connection or memory left, a server
 * that goes down, has crashed or is starting, an idle connection that the server has ended, and a server that became a
 * standby.
 */
const SQL_STATES = /^(40001|40P01|55P03|08...|53[23]00|57P0[1235]|25006)$/;

/** The limits of idleness and time of a transaction: the same work takes as long again. */
const TIME_LIMITS = /^25P0[34]$/;

const SYSTEM_CODES = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'EAI_AGAIN',
]);

/** What node-postgres says without a code. The last two are of a wait for a connection that took too long. */
const MESSAGES =
  /^(Connection terminated|Client has encountered a connection error|timeout exceeded when trying to connect|timeout expired$)/;

/** No error that is of use has more causes. */
const DEEPEST = 100;

/**
 * Whether the database says that the same work may succeed when it is done again: a conflict with another transaction, a
 * lock that was not free, a connection that was lost or could not be had, a server that restarts or became a standby. So
 * it is for a thread that was ended because another job blocked it. It looks into causes, and into the parts of an
 * AggregateError, all of which must be such errors. A commit whose end is unknown is none, wherever it is found.
 *
 * @example
 * retry: { when: (error) => isTransientError(error) || error instanceof RateLimitError }
 */
export function isTransientError(error: unknown): boolean {
  return !listErrorParts(error).some(isFinal) && new Judgement().isTransient(error, 'database', 0);
}

function isFinal(part: object): boolean {
  return isEndUnknown(part) || TIME_LIMITS.test(readCode(part));
}

/** Who an error is of. The code of a broken connection is that of the database only where no other could have thrown it. */
type Origin = 'database' | 'anybody';

class Judgement {
  /** An error may be its own cause. */
  readonly #verdicts = new Map<unknown, boolean>();

  isTransient(error: unknown, around: Origin, depth: number): boolean {
    if (typeof error !== 'object' || error === null || depth > DEEPEST) {
      return false;
    }
    const known = this.#verdicts.get(error);
    if (known !== undefined) {
      return known;
    }
    this.#verdicts.set(error, false);
    const verdict = this.#judge(error, isOfDatabase(error) ? 'database' : around, depth);
    this.#verdicts.set(error, verdict);
    return verdict;
  }

  #judge(error: object, origin: Origin, depth: number): boolean {
    if (SQL_STATES.test(readCode(error)) || MESSAGES.test(readText(error, 'message')) || isThreadLoss(error)) {
      return true;
    }
    if (isPassingTrouble(error)) {
      return true;
    }
    if (origin === 'database' && isConnectionLoss(error)) {
      return true;
    }
    const parts = listErrors(error);
    if (parts.length > 0 && parts.every((part) => this.isTransient(part, origin, depth + 1))) {
      return true;
    }
    const inner = isInstance(error, SessionError) ? origin : 'anybody';
    return this.isTransient(readProperty(error, 'cause'), inner, depth + 1);
  }
}

function isOfDatabase(error: object): boolean {
  return isInstance(error, DriverException) || isInstance(error, ConnectionLostError);
}

function isConnectionLoss(error: object): boolean {
  const code = readCode(error);
  // A file that is not there has the same code as a socket that is not there.
  return SYSTEM_CODES.has(code) || (code === 'ENOENT' && readProperty(error, 'syscall') === 'connect');
}

function isThreadLoss(error: object): boolean {
  return readProperty(error, 'code') === 'JOB_THREAD_ENDED' && readProperty(error, 'blockedBy') !== undefined;
}

function readCode(error: object): string {
  return readText(error, 'code');
}

function readText(error: object, name: string): string {
  const value = readProperty(error, name);
  return typeof value === 'string' ? value : '';
}

/** A revoked Proxy is an instance of nothing. */
function isInstance(error: object, of: abstract new (...args: never[]) => Error): boolean {
  try {
    return error instanceof of;
  } catch {
    return false;
  }
}
