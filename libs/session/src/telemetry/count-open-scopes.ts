import type { ObservableResult } from '@opentelemetry/api';

import type { LiveScope } from '../session/scope/live-scope.js';
import type { ScopeKind } from '../session/scope/scope.js';
import { SCOPE_KIND } from './get-scope-attributes.js';
import { INSTRUMENTATION, type TelemetryApi } from './telemetry-api.js';

/**
 * Counts, whenever somebody collects metrics, the scopes that have a session now.
 *
 * @returns a function that stops it
 */
export function countOpenScopes({ metrics }: TelemetryApi, live: Iterable<LiveScope>): () => void {
  const counter = metrics.getMeter(INSTRUMENTATION).createObservableUpDownCounter('mikro_session.scope.open', {
    description: 'Scopes that have a session open',
    unit: '{scope}',
  });
  // A kind that was seen once is reported from then on, when it is at 0 as well.
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
