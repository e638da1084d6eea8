import type { ComponentChildren } from 'preact';

import type { PoolView } from '../state/inspector-state.js';
import { describeLimit } from './format.js';
import { PoolPlot } from './pool-plot.js';
import { pools } from './store.js';

export function PoolsView(): ComponentChildren {
  return (
    <section id="pools" aria-labelledby="pools-title">
      <h2 id="pools-title">Pools</h2>
      {pools.value.length === 0 && <p class="empty">No pool has been opened yet, or none that can be watched.</p>}
      <div class="cards">
        {pools.value.map((pool) => (
          <Pool key={pool.name} pool={pool} />
        ))}
      </div>
    </section>
  );
}

function Pool({ pool }: { readonly pool: PoolView }): ComponentChildren {
  const { name, max, size, idle, inUse, waiting, samples } = pool;
  const most = Math.max(inUse, ...samples.map(([, used]) => used));
  const mostWaiting = Math.max(waiting, ...samples.map(([, , waited]) => waited));
  return (
    <article class="card" aria-label={`Pool "${name}"`}>
      <h3>{name}</h3>
      <dl class="facts">
        <div>
          <dt>Size</dt>
          <dd>
            {size} of {describeLimit(max)}
          </dd>
        </div>
        <div>
          <dt>In use</dt>
          <dd>{inUse}</dd>
        </div>
        <div>
          <dt>Idle</dt>
          <dd>{idle}</dd>
        </div>
        <div class={waiting > 0 ? 'bad' : ''}>
          <dt>Waiting</dt>
          <dd>{waiting}</dd>
        </div>
      </dl>
      <PoolPlot
        pool={pool}
        label={`The last five minutes: at most ${most} of ${describeLimit(max)} in use, at most ${mostWaiting} waiting`}
      />
      <p class="legend">
        <span class="key used">In use</span>
        <span class="key waits">Waiting</span>
        <span class="key size">Open</span>
        <span class="muted">last five minutes</span>
      </p>
    </article>
  );
}
