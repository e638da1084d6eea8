import { inspect } from 'node:util';

import { describeThrown } from '../../session/describe-thrown.js';
import type { ConnectionFacts } from '../../session/pool/pool-facts.js';
import type { LiveScope } from '../../session/scope/live-scope.js';
import { hideValues, showValues } from './hide-values.js';
import type { LiveScopeView } from './inspector-state.js';
import { notesOf } from './scope-log.js';

const LONGEST_TEXT = 300;
const INFOS = 20;

/**
 * Describes a scope that has a session.
 *
 * @param held the connections that it holds
 */
export function viewLiveScope(scope: LiveScope, held: readonly ConnectionFacts[], values: boolean): LiveScopeView {
  const { id, kind, label, state, openedAt, task, startedIn } = scope;
  const facts = scope.members.map((member) => member.facts).filter((one) => one !== undefined);
  const sum = (count: (one: (typeof facts)[number]) => number): number =>
    facts.reduce((total, one) => total + count(one), 0);
  const depth = sum((one) => one.depth);
  const running = held.find(({ statement }) => statement !== undefined)?.statement;
  const waitingSince = notesOf(scope)?.waitingSince;
  return {
    id,
    kind,
    label: label.slice(0, LONGEST_TEXT),
    state,
    openedAt: openedAt.getTime(),
    task: task === scope ? undefined : task?.label,
    parent: startedIn === task ? undefined : startedIn?.label,
    entities: sum((one) => one.entities),
    unflushed: sum((one) => one.unflushed),
    transaction: describeTransaction(depth, held),
    depth,
    connections: held.map(({ processId }) => processId ?? 0),
    ...describeWait(waitingSince, running?.since),
    statement: running && (values ? showValues(running.sql) : hideValues(running.sql)),
    openedIn: facts.find(({ place }) => place !== undefined)?.place,
    info: describeInfo(scope, values),
  };
}

function describeTransaction(depth: number, held: readonly ConnectionFacts[]): LiveScopeView['transaction'] {
  if (depth === 0) {
    return 'none';
  }
  if (held.length === 0) {
    return 'begun';
  }
  return held.some(({ hasFailed }) => hasFailed) ? 'failed' : 'open';
}

function describeWait(
  waitingSince: number | undefined,
  runningSince: number | undefined,
): Pick<LiveScopeView, 'waitsFor' | 'waitsSince'> {
  if (waitingSince !== undefined) {
    return { waitsFor: 'connection', waitsSince: toTime(waitingSince) };
  }
  return runningSince === undefined
    ? { waitsFor: undefined, waitsSince: undefined }
    : { waitsFor: 'statement', waitsSince: toTime(runningSince) };
}

function toTime(since: number): number {
  return Math.round(performance.timeOrigin + since);
}

/** Returns the info that openers gave to a scope. With `values`, also the data of its message. */
function describeInfo(scope: LiveScope, values: boolean): Readonly<Record<string, string>> {
  try {
    const entries = Object.entries(values ? scope.info : scope.portableInfo).slice(0, INFOS);
    return Object.fromEntries(
      entries.map(([name, value]) => [name, describeValue(value, values).slice(0, LONGEST_TEXT)]),
    );
  } catch (error) {
    // The `info` function of the application may throw.
    return { error: describeThrown(error) };
  }
}

function describeValue(value: unknown, values: boolean): string {
  if (typeof value === 'string') {
    return value;
  }
  if (typeof value === 'object' && value !== null && !values) {
    return 'an object';
  }
  return inspect(value, { depth: 2, maxArrayLength: 20, maxStringLength: LONGEST_TEXT, breakLength: Infinity });
}
