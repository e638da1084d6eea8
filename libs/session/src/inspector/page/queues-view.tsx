import type { ComponentChildren } from 'preact';

import type { QueuesView as View } from '../state/inspector-state.js';
import { formatCount, formatRate } from './format.js';

export function QueuesView({ view }: { readonly view: View }): ComponentChildren {
  const letters = new Set(view.queues.map(({ deadLetter }) => deadLetter));
  return (
    <section id="queues" aria-labelledby="queues-title">
      <h2 id="queues-title">Queues</h2>
      {view.error !== undefined && <p class="error">The queues could not be counted: {view.error}</p>}
      <div class="scroll" role="region" aria-labelledby="queues-title" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">Queue</th>
              <th scope="col">Ready</th>
              <th scope="col">Active</th>
              <th scope="col">For later</th>
              <th scope="col">Failed</th>
              <th scope="col">Rate</th>
              <th scope="col">Dead letters go to</th>
            </tr>
          </thead>
          <tbody>
            {view.queues.map(({ name, ready, active, deferred, failed, rate, deadLetter }) => (
              <tr key={name}>
                <th scope="row">
                  {name} {letters.has(name) && <span class="tag">dead letters</span>}
                </th>
                <td class="number">{formatCount(ready)}</td>
                <td class="number">{formatCount(active)}</td>
                <td class="number">{formatCount(deferred)}</td>
                <td class={failed > 0 ? 'number bad' : 'number'}>{formatCount(failed)}</td>
                <td class="number">{formatRate(rate)}</td>
                <td>{deadLetter ?? <span class="muted">nowhere</span>}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
