import { inspect } from 'node:util';

import type { EntityManager } from '@mikro-orm/core';

import type { Scope } from './scope.js';
import type { SessionForkOptions } from './session-options.js';

type GivenOptions = SessionForkOptions | undefined;

/**
 * Puts the fork options of one session together. Later ones win, but for filter parameters and row-level-security
 * variables, which add up: what one place says of the tenant is not lost when another says something else.
 *
 * @throws {TypeError} where an option has no value, as when the tenant of a scope was forgotten
 */
export function mergeForkOptions(scope: Scope, ...given: readonly GivenOptions[]): SessionForkOptions {
  const merged = given.reduce(addForkOptions, undefined);
  if (merged === undefined) {
    return {};
  }
  assertNoneMissing(scope, 'fork', merged);
  return merged;
}

export function addForkOptions(earlier: GivenOptions, later: GivenOptions): GivenOptions {
  if (earlier === undefined || later === undefined) {
    return earlier ?? later;
  }
  return { ...earlier, ...later, ...mergeContents(earlier, later) };
}

/** Gives a session, or a fork that becomes one, its filter parameters. */
export function setFilterParams(em: EntityManager, { filterParams }: SessionForkOptions): void {
  if (filterParams === undefined) {
    return;
  }
  for (const [name, params] of Object.entries(filterParams)) {
    em.setFilterParams(name, params);
  }
}

function mergeContents(
  { filterParams, session }: SessionForkOptions,
  later: SessionForkOptions,
): Pick<SessionForkOptions, 'filterParams' | 'session'> {
  return {
    ...(filterParams && later.filterParams && { filterParams: { ...filterParams, ...later.filterParams } }),
    ...(session &&
      later.session && {
        session: { ...session, ...later.session, variables: { ...session.variables, ...later.session.variables } },
      }),
  };
}

/** An option without a value would mean the default: the tables of everybody, or of nobody in particular. */
function assertNoneMissing(scope: Scope, path: string, options: object): void {
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) {
      throw new TypeError(
        `Expected \`${path}.${name}\` to have a value in "${scope.label}", got \`undefined\`. The \`info\` of that scope ` +
          `is ${inspect(scope.info, { breakLength: Infinity, depth: 1 })}: give what \`fork\` needs with the option ` +
          '`http: { info }` for requests, and with the option `info` for jobs and blocks that are not started in one.',
      );
    }
    if (isNested(path, name, value)) {
      assertNoneMissing(scope, `${path}.${name}`, value);
    }
  }
}

function isNested(path: string, name: string, value: unknown): value is object {
  const isContainer = path.startsWith('fork.filterParams') || path === 'fork.session';
  return (isContainer || name === 'filterParams' || name === 'session') && isRecord(value);
}

function isRecord(value: unknown): value is object {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}
