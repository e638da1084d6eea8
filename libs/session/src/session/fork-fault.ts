import { EntityManager } from '@mikro-orm/core';

import { isObject } from './assert-options.js';
import type { SessionForkOptions } from './session-options.js';

/** What is wrong with one fork option. */
export interface ForkFault {
  readonly path: string;
  /** Ends the sentence "Expected `path` to ...". */
  readonly what: string;
  readonly value: unknown;
}

/** Finds the fault of one option. */
type Check = (value: unknown, path: string) => ForkFault | undefined;

/** The other fork options of MikroORM are refused: they would tie a session to something outside of its scope. */
const checks: Record<keyof SessionForkOptions, Check> = {
  schema: (value, path) => (isSchema(value) ? undefined : { path, what: 'be the name of a schema', value }),
  filterParams: (value, path) =>
    findInContents(value, path, (params, name) => findInContents(params, name, findMissing)),
  session: (value, path) =>
    findInMembers(value, path, { variables: checkVariables, role: checkRole }) ?? checkRowLevelSecurity(value, path),
  freshEventManager: findMissing,
  cloneEventManager: findMissing,
  flushMode: findMissing,
  disableTransactions: findMissing,
  loggerContext: findMissing,
  signal: findMissing,
  inflightQueryAbortStrategy: findMissing,
};

/** Finds the first fork option that is unknown or has no value. A missing value is mostly a forgotten tenant. */
export function findForkFault(options: unknown): ForkFault | undefined {
  return findInMembers(options, 'fork', checks);
}

function findInMembers(value: unknown, path: string, members: Readonly<Record<string, Check>>): ForkFault | undefined {
  return findInContents(value, path, (member, memberPath) => {
    const name = memberPath.slice(path.length + 1);
    const check = Object.hasOwn(members, name) ? members[name] : undefined;
    if (check === undefined) {
      return { path, what: `have no \`${name}\`, but ${Object.keys(members).join(', ')} alone`, value };
    }
    return findMissing(member, memberPath) ?? check(member, memberPath);
  });
}

function findInContents(value: unknown, path: string, check: Check): ForkFault | undefined {
  const fault = findNoObject(value, path);
  if (fault !== undefined) {
    return fault;
  }
  for (const [name, member] of Object.entries(value as object)) {
    const found = check(member, `${path}.${name}`);
    if (found !== undefined) {
      return found;
    }
  }
  return undefined;
}

/** Finds a value that cannot be merged with other fork options. */
export function findNoContainer(options: SessionForkOptions): ForkFault | undefined {
  const fault = findNoObject(options, 'fork');
  if (fault !== undefined) {
    return fault;
  }
  const { filterParams = {}, session = {} } = options;
  return findNoObject(filterParams, 'fork.filterParams') ?? findNoObject(session, 'fork.session');
}

/** A promise is refused: its options would come too late. */
function findNoObject(value: unknown, path: string): ForkFault | undefined {
  return !isObject(value) || Array.isArray(value) || 'then' in value
    ? (findMissing(value, path) ?? { path, what: 'be an object', value })
    : undefined;
}

/** NaN and invalid dates count as missing: they are computed from missing values. */
function findMissing(value: unknown, path: string): ForkFault | undefined {
  if (value === undefined || value === null || Number.isNaN(value instanceof Date ? value.getTime() : value)) {
    return { path, what: 'have a value', value };
  }
  if (Array.isArray(value) || isPlain(value)) {
    return Object.entries(value)
      .map(([name, member]) => findMissing(member, `${path}.${name}`))
      .find((fault) => fault !== undefined);
  }
  return undefined;
}

function checkVariables(value: unknown, path: string): ForkFault | undefined {
  return findInContents(value, path, (variable, name) => {
    const isText = ['string', 'number', 'boolean', 'bigint'].includes(typeof variable) || variable instanceof Date;
    return (
      findMissing(variable, name) ??
      (isText ? undefined : { path: name, what: 'be a string, number, boolean or Date', value: variable })
    );
  });
}

/** To ignore it, as MikroORM 7.1 does, would show the rows of all tenants. */
function checkRowLevelSecurity(value: unknown, path: string): ForkFault | undefined {
  return 'getSessionContext' in EntityManager.prototype
    ? undefined
    : { path, what: 'be left out, because MikroORM ignores it before 7.2', value };
}

function checkRole(value: unknown, path: string): ForkFault | undefined {
  const isRole = typeof value === 'string' && value.trim() !== '';
  return isRole ? undefined : { path, what: 'be the name of a role', value };
}

/** A blank name would mean the default schema, and `*` every schema. */
function isSchema(value: unknown): boolean {
  return typeof value === 'string' && !['', '*'].includes(value.trim());
}

function isPlain(value: unknown): value is object {
  if (!isObject(value)) {
    return false;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
