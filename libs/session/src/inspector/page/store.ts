import { computed, signal } from '@preact/signals';

import type {
  EndedScope,
  InspectorChange,
  InspectorState,
  LiveScopeView,
  MisuseView,
  PoolView,
  QueuesView,
  RunView,
} from '../state/inspector-state.js';

const SAMPLES = 300;
const MISUSES = 200;
const RUNS = 60;

export const connection = signal<'connecting' | 'open' | 'lost' | 'refused'>('connecting');
export const isPaused = signal(false);
export const hasActions = signal(false);
export const history = signal(1_000);
export const pools = signal<readonly PoolView[]>([]);
export const scopes = signal<readonly LiveScopeView[]>([]);
export const totalScopes = signal(0);
export const ended = signal<readonly EndedScope[]>([]);
export const runs = signal<readonly RunView[]>([]);
export const queues = signal<QueuesView | undefined>(undefined);
export const misuses = signal<readonly MisuseView[]>([]);
/** The scopes that ended per second, over the last seconds. */
export const endedPerSecond = signal(0);
/** The time of the server, in steps of half a second. */
export const now = signal(Date.now());

export const waitingScopes = computed(() => scopes.value.filter(({ waitsFor }) => waitsFor === 'connection').length);

/** Milliseconds by which the clock of the server is ahead of the clock of the browser. */
let ahead = 0;
/** The changes that came while the page was paused. */
let missed: (() => void)[] = [];
let rateKey = 0;
let rateAt = 0;

export function applyState(state: InspectorState): void {
  missed = [];
  whenShown(() => {
    follow(state.at);
    hasActions.value = state.actions;
    history.value = state.history;
    pools.value = state.pools;
    scopes.value = state.live.scopes;
    totalScopes.value = state.live.total;
    ended.value = state.ended;
    runs.value = state.runs;
    queues.value = state.queues;
    misuses.value = state.misuse;
    countEnded(state.at, true);
  });
}

export function applyChange(change: InspectorChange): void {
  whenShown(() => {
    follow(change.at);
    if (change.pools !== undefined) {
      pools.value = change.pools.map((pool) => addSamples(pools.value, pool));
    }
    if (change.live !== undefined) {
      totalScopes.value = change.live.total;
      scopes.value = changeScopes(scopes.value, change.live.changed, change.live.gone);
    }
    if (change.ended !== undefined) {
      ended.value = addNew(ended.value, change.ended, history.value);
    }
    if (change.misuse !== undefined) {
      misuses.value = addNew(misuses.value, change.misuse, MISUSES);
    }
    if (change.runs !== undefined) {
      runs.value = changeRuns(runs.value, change.runs);
    }
    if (change.queues !== undefined) {
      queues.value = change.queues;
    }
    countEnded(change.at, false);
  });
}

export function setPaused(paused: boolean): void {
  isPaused.value = paused;
  if (!paused) {
    missed.splice(0).forEach((apply) => apply());
  }
}

setInterval(() => {
  if (!isPaused.value) {
    now.value = Date.now() + ahead;
    countEnded(now.value, false);
  }
}, 500);

function whenShown(apply: () => void): void {
  if (isPaused.value) {
    // Keeps the changes of some minutes. Older ones are part of the next whole state.
    missed = [...missed.slice(-3_000), apply];
  } else {
    apply();
  }
}

function follow(at: number): void {
  ahead = at - Date.now();
  now.value = at;
}

function countEnded(at: number, isFirst: boolean): void {
  const key = ended.value.at(-1)?.key ?? 0;
  if (isFirst || at < rateAt) {
    rateKey = key;
    rateAt = at;
  } else if (at - rateAt >= 1_000) {
    endedPerSecond.value = ((key - rateKey) * 1_000) / (at - rateAt);
    rateKey = key;
    rateAt = at;
  }
}

function addSamples(before: readonly PoolView[], pool: PoolView): PoolView {
  const known = before.find(({ name }) => name === pool.name)?.samples ?? [];
  const latest = known.at(-1)?.[0] ?? 0;
  return { ...pool, samples: [...known, ...pool.samples.filter(([at]) => at > latest)].slice(-SAMPLES) };
}

function changeScopes(
  before: readonly LiveScopeView[],
  changed: readonly LiveScopeView[],
  gone: readonly string[],
): readonly LiveScopeView[] {
  const byId = new Map(before.map((scope) => [scope.id, scope]));
  gone.forEach((id) => byId.delete(id));
  changed.forEach((scope) => byId.set(scope.id, scope));
  return [...byId.values()];
}

function changeRuns(before: readonly RunView[], changed: readonly RunView[]): readonly RunView[] {
  const byId = new Map(before.map((run) => [run.id, run]));
  changed.forEach((run) => byId.set(run.id, run));
  return [...byId.values()].toSorted((a, b) => a.id - b.id).slice(-RUNS);
}

/** Adds only new items: while a client connects, the server may send an item twice. */
function addNew<Item extends { readonly key: number }>(
  before: readonly Item[],
  added: readonly Item[],
  most: number,
): readonly Item[] {
  const latest = before.at(-1)?.key ?? 0;
  return [...before, ...added.filter(({ key }) => key > latest)].slice(-most);
}
