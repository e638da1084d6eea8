import type { Inspector } from './inspector.js';
import type { InspectorChange, LiveScopeView, PoolView, QueuesView } from './inspector-state.js';

/** Finds the changes since the last call. */
export class Changes {
  #endedKey: number;
  #misuseKey: number;
  #runChange: number;
  #pools = '';
  #sampledAt: number;
  #queues: QueuesView | undefined;
  #total = -1;
  #live = new Map<string, string>();

  constructor(private readonly inspector: Inspector) {
    const { scopes, runs } = inspector;
    this.#endedKey = scopes.lastKey;
    this.#misuseKey = scopes.misuses.nextKey - 1;
    this.#runChange = runs.lastChange;
    this.#sampledAt = Date.now();
    this.#queues = inspector.queues.view;
  }

  /** Returns undefined where nothing has changed. */
  next(): InspectorChange | undefined {
    const change: InspectorChange = {
      at: Date.now(),
      ...this.#nextPools(),
      ...this.#nextLive(),
      ...this.#nextEntries(),
      ...this.#nextQueues(),
    };
    return Object.keys(change).length > 1 ? change : undefined;
  }

  #nextPools(): Pick<InspectorChange, 'pools'> {
    const pools = this.inspector.pools.look(this.#sampledAt);
    this.#sampledAt = pools.reduce(
      (latest, { samples }) => Math.max(latest, samples.at(-1)?.[0] ?? 0),
      this.#sampledAt,
    );
    const text = JSON.stringify(pools.map((pool): PoolView => ({ ...pool, samples: [] })));
    const isSame = text === this.#pools && pools.every(({ samples }) => samples.length === 0);
    this.#pools = text;
    return isSame ? {} : { pools };
  }

  #nextLive(): Pick<InspectorChange, 'live'> {
    const { total, scopes } = this.inspector.live;
    const before = this.#live;
    this.#live = new Map();
    const changed: LiveScopeView[] = [];
    for (const scope of scopes) {
      const text = JSON.stringify(scope);
      if (before.get(scope.id) !== text) {
        changed.push(scope);
      }
      before.delete(scope.id);
      this.#live.set(scope.id, text);
    }
    const gone = [...before.keys()];
    const isSame = total === this.#total && changed.length === 0 && gone.length === 0;
    this.#total = total;
    return isSame ? {} : { live: { total, changed, gone } };
  }

  #nextEntries(): Pick<InspectorChange, 'ended' | 'misuse' | 'runs'> {
    const { scopes, runs: runLog } = this.inspector;
    const ended = scopes.endedAfter(this.#endedKey);
    const misuse = scopes.misuses.after(this.#misuseKey);
    const runs = runLog.after(this.#runChange);
    this.#endedKey = ended.at(-1)?.key ?? this.#endedKey;
    this.#misuseKey = misuse.at(-1)?.key ?? this.#misuseKey;
    this.#runChange = runLog.lastChange;
    return {
      ...(ended.length > 0 && { ended }),
      ...(misuse.length > 0 && { misuse }),
      ...(runs.length > 0 && { runs }),
    };
  }

  #nextQueues(): Pick<InspectorChange, 'queues'> {
    const { queues } = this.inspector;
    queues.refresh();
    const { view } = queues;
    const isSame = view === this.#queues;
    this.#queues = view;
    return isSame || view === undefined ? {} : { queues: view };
  }
}
