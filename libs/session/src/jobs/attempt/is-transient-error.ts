import { DriverException } from '@mikro-orm/core';

import { isTransientDriverError } from '../../session/drivers/find-knowledge.js';
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

/** Idle and total time limits of a transaction. These are not transient: the same work would take as long again. */
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

/** Messages of node-postgres that have no code. The last two mean that the wait for a connection took too long. */
const MESSAGES =
  /^(Connection terminated|Client has encountered a connection error|timeout exceeded when trying to connect|timeout expired$)/;

/** The number of nested causes that are looked at. Useful errors have fewer. */
const DEEPEST = 100;

/**
 * Whether the same work may succeed when it is repeated: after a conflict with another transaction, a lock that was not
 * free, a lost connection, a connection that could not be opened, a restart of the server, or a server that became a
 * standby. True too for the error of a thread that was ended because another job blocked it. It looks into causes, and
 * into the parts of an AggregateError, which must all be transient. False for every error that contains a
 * CommitUnknownError.
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

/**
 * Where an error comes from. The code of a broken connection counts only where nothing but the database could have
 * thrown it.
 */
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
    if (isTransientDriverError(error)) {
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
  // A missing file has the same code as a missing socket.
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

/** Like `instanceof`, but returns false for a revoked Proxy, where `instanceof` throws. */
function isInstance(error: object, of: abstract new (...args: never[]) => Error): boolean {
  try {
    return error instanceof of;
  } catch {
    return false;
  }
}
