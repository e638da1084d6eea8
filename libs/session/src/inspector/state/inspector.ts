import type { OnModuleDestroy, OnModuleInit } from '@nestjs/common';

import type { RunWatch } from '../../jobs/run/run-watch.js';
import type { QueueReaders } from '../../nest/queue-readers.js';
import type { SessionConnections } from '../../nest/session-connections.js';
import type { ConnectionFacts } from '../../session/pool/pool-facts.js';
import type { LiveScope } from '../../session/scope/live-scope.js';
import { reportEndFailure } from '../../session/scope/report-end-failure.js';
import type { ScopeStorage } from '../../session/scope/scope-storage.js';
import type { InspectorState, LiveScopes } from './inspector-state.js';
import { viewLiveScope } from './view-live-scope.js';
import { PoolLog } from './pool-log.js';
import { QueueLog } from './queue-log.js';
import { RunLog } from './run-log.js';
import { ScopeLog } from './scope-log.js';

/** The number of live scopes that are described: the oldest ones. */
const DESCRIBED = 500;

export interface InspectorParts {
  readonly storage: ScopeStorage;
  readonly connections: SessionConnections;
  readonly runs: RunWatch;
  readonly queues: QueueReaders;
  readonly history: number;
  readonly actions: boolean;
  readonly values: boolean;
}

/** Observes sessions, connections and runs, and describes their state. */
export class Inspector implements OnModuleInit, OnModuleDestroy {
  readonly scopes: ScopeLog;
  readonly runs: RunLog;
  readonly pools: PoolLog;
  readonly queues: QueueLog;
  readonly #parts: InspectorParts;

  constructor(parts: InspectorParts) {
    this.#parts = parts;
    this.scopes = new ScopeLog(parts.history, parts.values);
    this.runs = new RunLog(parts.values);
    this.pools = new PoolLog(() => parts.connections.sources);
    this.queues = new QueueLog(parts.queues);
    parts.storage.live.observe(this.scopes);
    parts.runs.follow = (start) => this.runs.begin(start);
  }

  /** By now, all connections are registered. */
  onModuleInit(): void {
    this.#parts.connections.sources.forEach(({ connections }) => {
      connections.observer = this.scopes;
    });
    this.pools.start();
  }

  onModuleDestroy(): void {
    this.pools.stop();
  }

  /** Whether scopes can be ended from the page. */
  get hasActions(): boolean {
    return this.#parts.actions;
  }

  get live(): LiveScopes {
    const held = Map.groupBy(
      this.#parts.connections.sources.flatMap(({ connections }) => connections.connectionFacts),
      ({ owner }) => owner,
    ) as ReadonlyMap<object | undefined, ConnectionFacts[]>;
    const scopes: LiveScope[] = [];
    let total = 0;
    for (const scope of this.#parts.storage.live) {
      total += 1;
      if (total <= DESCRIBED) {
        scopes.push(scope);
      }
    }
    return { total, scopes: scopes.map((scope) => viewLiveScope(scope, held.get(scope) ?? [], this.#parts.values)) };
  }

  get state(): InspectorState {
    const { history, actions } = this.#parts;
    return {
      at: Date.now(),
      history,
      actions,
      pools: this.pools.look(),
      live: this.live,
      ended: this.scopes.endedAfter(0),
      runs: this.runs.after(0),
      queues: this.queues.view,
      misuse: this.scopes.misuses.after(0),
    };
  }

  /** Ends a scope before its work ends. Returns whether the scope was found. */
  end(id: string): boolean {
    for (const scope of this.#parts.storage.live) {
      if (scope.id === id) {
        const reason = new DOMException(`"${scope.label}" was ended by hand`, 'AbortError');
        scope.cancel(reason).catch((error: unknown) => reportEndFailure(scope, error));
        return true;
      }
    }
    return false;
  }
}
