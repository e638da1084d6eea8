import type { MikroORM } from '@mikro-orm/core';
import type { Attributes } from '@opentelemetry/api';

import type { LiveScope } from '../session/scope/live-scope.js';
import type { ScopeEnding } from '../session/scope/scope-ending.js';

export const SCOPE_KIND = 'mikro_session.scope.kind';
const SCOPE_ENDING = 'mikro_session.scope.ending';

/** Returns the name of a span. There are only few names: jobs are named by their worker, requests by their kind. */
export function getSpanName(scope: LiveScope): string {
  switch (scope.kind) {
    case 'job':
      return `process ${getWorker(scope)}`;
    case 'request':
    case 'operation':
    case 'key':
      return `session of ${scope.kind}`;
    case 'callback':
      return scope.label.slice(0, scope.label.indexOf(' of '));
    default:
      return scope.label;
  }
}

/**
 * Returns the attributes of a scope. A job has OpenTelemetry's attributes for messaging. The other attributes have
 * names of this library.
 */
export function getScopeAttributes(scope: LiveScope): Attributes {
  const own = {
    [SCOPE_KIND]: scope.kind,
    'mikro_session.scope.id': scope.id,
    'mikro_session.scope.label': scope.label,
  };
  if (scope.kind !== 'job') {
    return own;
  }
  return {
    ...own,
    'messaging.system': 'nestjs-mikro-session',
    'messaging.operation.name': 'process',
    'messaging.operation.type': 'process',
    'messaging.destination.name': getWorker(scope),
    'messaging.message.id': scope.id,
  };
}

/** Returns how a scope has ended. A time-out keeps the word of the first version, which dashboards may count by. */
export function getEndingAttributes(ending: ScopeEnding): Attributes {
  return { [SCOPE_ENDING]: ending === 'timeout' ? 'timedOut' : ending };
}

/** Returns OpenTelemetry's attributes for a database. */
export function getDatabaseAttributes({ driver }: MikroORM): Attributes {
  const { database = '', host, port } = driver.getConnection('write').getConnectionOptions();
  return {
    'db.system.name': driver.getPlatform().constructor.name.startsWith('Postgre') ? 'postgresql' : 'other_sql',
    'db.namespace': database,
    ...(host !== undefined && { 'server.address': host }),
    ...(port !== undefined && port > 0 && { 'server.port': port }),
  };
}

/** Returns the worker in the label of a job, which is `job 7 of SquareWorker`. */
function getWorker({ label }: LiveScope): string {
  return label.slice(label.indexOf(' of ') + ' of '.length);
}
