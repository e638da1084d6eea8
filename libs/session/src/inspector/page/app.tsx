import type { ComponentChildren } from 'preact';

import { describeLimit, formatCount, formatRate } from './format.js';
import { MisuseView } from './misuse-view.js';
import { PoolsView } from './pools-view.js';
import { QueuesView } from './queues-view.js';
import { RunsView } from './runs-view.js';
import { ScopesView } from './scopes-view.js';
import {
  connection,
  endedPerSecond,
  isPaused,
  misuses,
  pools,
  queues,
  runs,
  setPaused,
  totalScopes,
  waitingScopes,
} from './store.js';
import { TimelineView } from './timeline-view.js';

const texts = {
  connecting: 'Connecting',
  open: 'Live',
  lost: 'Connection lost. Trying again',
  refused: 'The server refused. Load the page again',
} as const;

export function App(): ComponentChildren {
  return (
    <>
      <a class="skip" href="#content">
        Skip to the content
      </a>
      <header>
        <h1>Session inspector</h1>
        <Status />
        <button type="button" aria-pressed={isPaused.value} onClick={() => setPaused(!isPaused.value)}>
          {isPaused.value ? 'Go on' : 'Pause'}
        </button>
        <nav aria-label="Views">
          <a href="#pools">Pools</a>
          <a href="#scopes">Live scopes</a>
          <a href="#timeline">Timeline</a>
          <a href="#runs">Runs</a>
          {queues.value !== undefined && <a href="#queues">Queues</a>}
          <a href="#misuse">Misuse</a>
        </nav>
      </header>
      <main id="content" tabIndex={-1}>
        <Summary />
        <PoolsView />
        <ScopesView />
        <TimelineView />
        <RunsView />
        {queues.value !== undefined && <QueuesView view={queues.value} />}
        <MisuseView />
      </main>
    </>
  );
}

function Status(): ComponentChildren {
  const state = isPaused.value ? 'paused' : connection.value;
  return (
    <p class="status" role="status" data-state={state}>
      {state === 'paused' ? 'Paused' : texts[state]}
    </p>
  );
}

function Summary(): ComponentChildren {
  const inUse = pools.value.reduce((sum, pool) => sum + pool.inUse, 0);
  const max = pools.value.reduce((sum, pool) => sum + (pool.max ?? Infinity), 0);
  const waiting = Math.max(
    waitingScopes.value,
    pools.value.reduce((sum, pool) => sum + pool.waiting, 0),
  );
  const running = runs.value.filter(({ endedAt }) => endedAt === undefined).length;
  return (
    <dl class="summary">
      <Figure name="Live scopes" value={formatCount(totalScopes.value)} />
      <Figure name="Ended scopes" value={formatRate(endedPerSecond.value)} />
      <Figure name="Connections in use" value={`${inUse} of ${describeLimit(max)}`} />
      <Figure name="Waiting for a connection" value={formatCount(waiting)} isBad={waiting > 0} />
      <Figure name="Running runs" value={formatCount(running)} />
      <Figure name="Misuses seen" value={formatCount(misuses.value.length)} isBad={misuses.value.length > 0} />
    </dl>
  );
}

interface FigureProps {
  readonly name: string;
  readonly value: string;
  readonly isBad?: boolean;
}

function Figure({ name, value, isBad = false }: FigureProps): ComponentChildren {
  return (
    <div class={isBad ? 'figure bad' : 'figure'}>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
