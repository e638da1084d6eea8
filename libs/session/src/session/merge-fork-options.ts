import { inspect } from 'node:util';

import type { EntityManager } from '@mikro-orm/core';

import { findForkFault, findNoContainer, type ForkFault } from './fork-fault.js';
import type { Scope } from './scope/scope.js';
import type { SessionForkOptions } from './session-options.js';

type GivenOptions = SessionForkOptions | undefined;

/**
 * Merges the fork options of one session. Later options win. Filter parameters and row-level-security variables add up
 * instead, so that one place can set the tenant and another place something else.
 *
 * @throws {TypeError} where an option has no value, for example because the tenant of a scope was forgotten
 */
export function mergeForkOptions(scope: Scope, ...given: readonly GivenOptions[]): SessionForkOptions {
  const known = given.filter((options) => options !== undefined);
  if (known.length === 0) {
    return {};
  }
  for (const options of known) {
    // The merge would silently drop a value that is not an object.
    assertUsable(scope, findNoContainer(options));
  }
  const merged = known.reduce((earlier, later) => ({ ...earlier, ...later, ...mergeContents(earlier, later) }));
  assertUsable(scope, findForkFault(merged));
  return merged;
}

export function addForkOptions(earlier: GivenOptions, later: GivenOptions): GivenOptions {
  if (earlier === undefined || later === undefined) {
    return earlier ?? later;
  }
  return { ...earlier, ...later, ...mergeContents(earlier, later) };
}

/**
 * Checks fork options that hold for every scope.
 *
 * @throws {TypeError} where an option is not known or has no value
 */
export function assertForkOptions(options: unknown): void {
  const fault = findForkFault(options);
  if (fault !== undefined) {
    throw new TypeError(`Expected \`${fault.path}\` to ${fault.what}, got \`${show(fault.value)}\`.`);
  }
}

/** Sets the filter parameters of a session. */
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

/** An option without a value would mean the default, such as the schema of all tenants. So it is refused. */
function assertUsable(scope: Scope, fault: ForkFault | undefined): void {
  if (fault !== undefined) {
    throw new TypeError(
      `Expected \`${fault.path}\` to ${fault.what} in "${scope.label}", got \`${show(fault.value)}\`. The \`info\` of ` +
        `that scope is ${inspect(scope.info, { breakLength: Infinity, depth: 1 })}: give what \`fork\` needs with the ` +
        'option `http: { info }` for requests, and with the option `info` for jobs and blocks that are not started in one.',
    );
  }
}

function show(value: unknown): string {
  return inspect(value, { breakLength: Infinity, depth: 0 });
}
