import { assertJobOptions } from '../jobs/assert-job-options.js';
import type { ThreadsOptions } from '../jobs/threads/threads-options.js';
import { assertBeginOptions, assertTransactionDefaults } from '../session/transaction/assert-begin-options.js';
import { assertForkOptions } from '../session/merge-fork-options.js';
import {
  aName,
  anObject,
  anything,
  assertOptions,
  assertRule,
  milliseconds,
  ofType,
  oneOf,
  type Rule,
} from '../session/assert-options.js';
import type { HttpOptions } from './http/http-options.js';
import type { SessionModuleExtras, SessionModuleOptions } from './session-module-options.js';

const extraRules: Record<keyof SessionModuleExtras, Rule> = {
  contextName: aName,
  isGlobal: ofType('boolean'),
  injection: oneOf('request', 'contextual'),
};

const rules: Record<keyof SessionModuleOptions, Rule> = {
  fork: {
    what: 'an object or a function of the scope',
    holds: (value) => typeof value === 'function' || typeof value === 'object',
  },
  scopeFunc: ofType('function'),
  transactions: anObject,
  ownership: oneOf('error', 'warn', 'off'),
  unflushed: oneOf('warn', 'error', 'ignore'),
  leakAfter: milliseconds,
  heldIdleAfter: milliseconds,
  resetConnections: oneOf('never', 'changed', 'always'),
  http: { what: 'false or an object', holds: (value) => value === false || anObject.holds(value) },
  jobs: anObject,
  threads: anObject,
};

const httpRules: Record<keyof HttpOptions, Rule> = {
  info: ofType('function'),
  transaction: {
    what: 'true, the options of a transaction, or a function of the request',
    holds: (value) => value === true || typeof value === 'function' || anObject.holds(value),
  },
  commitError: ofType('function'),
};

const threadRules: Record<keyof ThreadsOptions, Rule> = {
  application: {
    what: 'the URL or the path of a file',
    holds: (value) => value instanceof URL || aName.holds(value),
  },
  data: anything,
  resourceLimits: anObject,
};

/** The options of forRootAsync() beside the extras. */
const asyncRules: Record<string, Rule> = {
  imports: { what: 'an array', holds: (value) => Array.isArray(value) },
  inject: { what: 'an array', holds: (value) => Array.isArray(value) },
  provideInjectionTokensFrom: { what: 'an array', holds: (value) => Array.isArray(value) },
  useFactory: ofType('function'),
  useClass: ofType('function'),
  useExisting: anything,
};

/** @throws {TypeError} for the first option of forRoot() that is unknown or has a wrong value */
export function assertModuleOptions(options: SessionModuleOptions & SessionModuleExtras): void {
  assertAll(options, { ...rules, ...extraRules });
}

/** @throws {TypeError} for the first option from a factory that is unknown or has a wrong value */
export function assertProvidedOptions(options: SessionModuleOptions): void {
  assertAll(options, rules);
}

/** @throws {TypeError} for the first option beside a factory that is unknown or has a wrong value */
export function assertAsyncOptions(options: object): void {
  const extra = Object.keys(options).find((name) => Object.hasOwn(rules, name));
  if (extra !== undefined) {
    throw new TypeError(`The option \`${extra}\` stands beside the factory of forRootAsync(). Return it from there.`);
  }
  assertOptions('SessionModule.forRootAsync()', options, { ...asyncRules, ...extraRules });
}

function assertHttpTransaction({ transaction, commitError }: HttpOptions): void {
  if (typeof transaction === 'object') {
    assertBeginOptions('SessionModule', transaction, 'http.transaction.');
  }
  if (commitError !== undefined && transaction === undefined) {
    throw new TypeError('The option `http.commitError` stands without `http.transaction`, and would never be asked.');
  }
}

function assertAll(options: SessionModuleOptions, known: Readonly<Record<string, Rule>>): void {
  assertOptions('SessionModule', options, known);
  const { fork, http, jobs, threads, transactions } = options;
  if (transactions !== undefined) {
    assertTransactionDefaults('SessionModule', transactions);
  }
  if (fork !== undefined && typeof fork !== 'function') {
    assertForkOptions(fork);
  }
  if (http !== undefined && http !== false) {
    assertOptions('SessionModule', http, httpRules, 'http.');
    assertHttpTransaction(http);
  }
  if (jobs !== undefined) {
    assertJobOptions(jobs);
  }
  if (threads !== undefined) {
    assertOptions('SessionModule', threads, threadRules, 'threads.');
    assertRule('threads.application', threads.application, threadRules.application);
  }
}
