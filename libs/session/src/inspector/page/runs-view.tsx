import type { ComponentChildren } from 'preact';

import type { RunView } from '../state/inspector-state.js';
import { formatCount, formatDuration, formatRate, formatTime } from './format.js';
import { now, runs } from './store.js';
import { showTime } from './timeline-range.js';

export function RunsView(): ComponentChildren {
  return (
    <section id="runs" aria-labelledby="runs-title">
      <h2 id="runs-title">
        Runs of JobService <span class="count">{runs.value.length}</span>
      </h2>
      {runs.value.length === 0 && <p class="empty">JobService has run nothing yet.</p>}
      <div class="cards">
        {runs.value.toReversed().map((run) => (
          <Run key={run.id} run={run} />
        ))}
      </div>
    </section>
  );
}

function Run({ run }: { readonly run: RunView }): ComponentChildren {
  const { id, label, total, done, failed, lanes, startedAt, endedAt, failures } = run;
  const ended = done + failed;
  const elapsed = (endedAt ?? now.value) - startedAt;
  const rate = elapsed > 0 ? (ended * 1_000) / elapsed : 0;
  const isOver = endedAt !== undefined;
  return (
    <article class="card" aria-label={`Run ${id}, ${label}`}>
      <h3>
        {label} <span class={`tag ${isOver ? '' : 'open'}`}>{isOver ? 'ended' : 'running'}</span>
      </h3>
      {total === undefined ? null : (
        <progress max={Math.max(total, 1)} value={ended} aria-label={`Progress of run ${id}, ${label}`} />
      )}
      <dl class="facts">
        <Fact name="Done" value={formatCount(done)} />
        <Fact name="Failed" value={formatCount(failed)} isBad={failed > 0} />
        <Fact name="Total" value={total === undefined ? 'not known' : formatCount(total)} />
        <Fact name="Rate" value={formatRate(rate)} />
        {isOver ? (
          <Fact name="Took" value={formatDuration(elapsed)} />
        ) : (
          <Fact name="Time left" value={describeTimeLeft(total, ended, rate)} />
        )}
        <Fact name="At once" value={String(lanes)} />
      </dl>
      <p class="muted">
        Started at {formatTime(startedAt)}.{' '}
        <a
          href="#timeline"
          aria-label={`Show in the timeline: run ${id}, ${label}`}
          onClick={() => showTime(startedAt, startedAt + elapsed)}
        >
          Show in the timeline
        </a>
      </p>
      {failures.length > 0 && (
        <details>
          <summary>The latest failures</summary>
          <ul class="plain">
            {failures.toReversed().map(({ index, ending, message }) => (
              <li key={index}>
                <span class={`tag ${ending === 'failed' ? 'failed' : ''}`}>{ending}</span> job {index}: {message}
              </li>
            ))}
          </ul>
        </details>
      )}
    </article>
  );
}

interface FactProps {
  readonly name: string;
  readonly value: string;
  readonly isBad?: boolean;
}

function Fact({ name, value, isBad = false }: FactProps): ComponentChildren {
  return (
    <div class={isBad ? 'bad' : ''}>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function describeTimeLeft(total: number | undefined, ended: number, rate: number): string {
  return total === undefined || rate === 0 ? 'not known' : formatDuration(((total - ended) / rate) * 1_000);
}
