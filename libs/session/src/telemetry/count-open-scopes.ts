import type { ObservableResult } from '@opentelemetry/api';

import type { LiveScope } from '../session/scope/live-scope.js';
import type { ScopeKind } from '../session/scope/scope.js';
import { SCOPE_KIND } from './get-scope-attributes.js';
import { INSTRUMENTATION, type TelemetryApi } from './telemetry-api.js';

/**
 * Counts the scopes that have a session, at each collection of metrics.
 *
 * @returns a function that stops the counter
 */
export function countOpenScopes({ metrics }: TelemetryApi, live: Iterable<LiveScope>): () => void {
  const counter = metrics.getMeter(INSTRUMENTATION).createObservableUpDownCounter('mikro_session.scope.open', {
    description: 'Scopes that have a session open',
    unit: '{scope}',
  });
  // A kind that was counted once is reported from then on, also with 0.
  const counts = new Map<ScopeKind, number>();
  const observe = (result: ObservableResult): void => {
    counts.forEach((_, kind) => counts.set(kind, 0));
    for (const { kind } of live) {
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
    }
    counts.forEach((count, kind) => result.observe(count, { [SCOPE_KIND]: kind }));
  };
  counter.addCallback(observe);
  return () => counter.removeCallback(observe);
}
