import type { BatchObservableResult } from '@opentelemetry/api';

import { namePools, type PooledSource } from '../session/pool/name-pools.js';
import { INSTRUMENTATION, type TelemetryApi } from './telemetry-api.js';

const POOL = 'db.client.connection.pool.name';
const STATE = 'db.client.connection.state';

/**
 * Counts the connections of each pool at each collection of metrics, with the metric names of OpenTelemetry.
 *
 * @returns a function that stops the counter
 */
export function countConnections({ metrics }: TelemetryApi, findSources: () => readonly PooledSource[]): () => void {
  const meter = metrics.getMeter(INSTRUMENTATION);
  const count = meter.createObservableUpDownCounter('db.client.connection.count', {
    description: 'Connections of the pool',
    unit: '{connection}',
  });
  const max = meter.createObservableUpDownCounter('db.client.connection.max', {
    description: 'The largest number of connections of the pool',
    unit: '{connection}',
  });
  const pending = meter.createObservableUpDownCounter('db.client.connection.pending_requests', {
    description: 'Requests that wait for a connection of the pool',
    unit: '{request}',
  });
  const observe = (result: BatchObservableResult): void => {
    for (const { name, facts } of namePools(findSources())) {
      const pool = { [POOL]: name };
      result.observe(count, facts.idle, { ...pool, [STATE]: 'idle' });
      result.observe(count, facts.size - facts.idle, { ...pool, [STATE]: 'used' });
      if (facts.max !== undefined) {
        result.observe(max, facts.max, pool);
      }
      result.observe(pending, facts.waiting, pool);
    }
  };
  const instruments = [count, max, pending];
  meter.addBatchObservableCallback(observe, instruments);
  return () => meter.removeBatchObservableCallback(observe, instruments);
}
