import { computed, signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

import type { EndedScope, ScopeOutcome } from '../state/inspector-state.js';
import { formatDuration, formatTime, outcomes } from './format.js';
import { Lanes } from './lanes.js';
import { ended, history } from './store.js';
import { chosenRange, move, shift, shownRange, zoom } from './timeline-range.js';
import { scheme } from './colour.js';
import { type Drawing, drawTimeline, findScope, type Range } from './draw-timeline.js';

interface Drag {
  readonly x: number;
  readonly range: Range;
  hasMoved: boolean;
}

const ROWS = 50;

const lanes = new Lanes();
const selectedKey = signal<number | undefined>(undefined);
const width = signal(0);

const drawing = computed<Drawing>(() => {
  lanes.update(ended.value);
  return { ...shownRange.value, lanes: lanes.all, selected: selectedKey.value };
});

const selected = computed(() => ended.value.find(({ key }) => key === selectedKey.value));

export function TimelineView(): ComponentChildren {
  return (
    <section id="timeline" aria-labelledby="timeline-title">
      <h2 id="timeline-title">
        Timeline <span class="count">the last {Math.min(ended.value.length, history.value)} ended scopes</span>
      </h2>
      <div class="tools">
        <button type="button" onClick={() => zoom(0.5)}>
          Zoom in
        </button>
        <button type="button" onClick={() => zoom(2)}>
          Zoom out
        </button>
        <button type="button" onClick={() => move(-0.5)}>
          Earlier
        </button>
        <button type="button" onClick={() => move(0.5)}>
          Later
        </button>
        <button
          type="button"
          aria-pressed={chosenRange.value === undefined}
          onClick={() => {
            chosenRange.value = undefined;
          }}
        >
          All, and follow
        </button>
      </div>
      <Legend />
      {ended.value.length === 0 ? <p class="empty">No scope has ended yet.</p> : <Canvas />}
      <div aria-live="polite">{selected.value !== undefined && <Details scope={selected.value} />}</div>
      <details>
        <summary>The last {ROWS} as a table</summary>
        <div class="scroll" role="region" aria-label="Ended scopes" tabIndex={0}>
          <table>
            <thead>
              <tr>
                <th scope="col">Scope</th>
                <th scope="col">Ended</th>
                <th scope="col">How</th>
                <th scope="col">Took</th>
                <th scope="col">Waited</th>
                <th scope="col">In transaction</th>
              </tr>
            </thead>
            <tbody>
              {ended.value
                .slice(-ROWS)
                .toReversed()
                .map((scope) => (
                  <Row key={scope.key} scope={scope} />
                ))}
            </tbody>
          </table>
        </div>
      </details>
    </section>
  );
}

function Legend(): ComponentChildren {
  return (
    <p class="legend">
      {(Object.entries(outcomes) as [ScopeOutcome, string][]).map(([outcome, text]) => (
        <span key={outcome} class={`key ${outcome}`}>
          {text}
        </span>
      ))}
      <span class="key waiting">Waiting for a connection</span>
      <span class="muted">Full colour: in transaction. Pale: outside of it.</span>
    </p>
  );
}

function Canvas(): ComponentChildren {
  const place = useRef<HTMLCanvasElement>(null);
  const drag = useRef<Drag | undefined>(undefined);
  const shown = drawing.value;
  const theme = scheme.value;
  const wide = width.value;

  useEffect(() => {
    if (place.current !== null) {
      drawTimeline(place.current, shown);
    }
  }, [shown, theme, wide]);

  useEffect(() => {
    const canvas = place.current;
    if (canvas === null) {
      return undefined;
    }
    const resizing = new ResizeObserver(() => {
      width.value = canvas.clientWidth;
    });
    resizing.observe(canvas);
    const onWheel = (event: WheelEvent): void => {
      // Without a key, the wheel scrolls the page.
      if (event.ctrlKey || event.shiftKey || document.activeElement === canvas) {
        event.preventDefault();
        zoom(event.deltaY + event.deltaX > 0 ? 1.25 : 0.8, event.offsetX / canvas.clientWidth);
      }
    };
    canvas.addEventListener('wheel', onWheel, { passive: false });
    return () => {
      resizing.disconnect();
      canvas.removeEventListener('wheel', onWheel);
    };
  }, []);

  return (
    <canvas
      ref={place}
      class="timeline"
      tabIndex={0}
      role="img"
      aria-label="Ended scopes in lanes. Left and right choose a scope, plus and minus zoom, 0 shows all. The same is in the table below."
      onKeyDown={onKey}
      onPointerDown={(event) => {
        drag.current = { x: event.offsetX, range: shown, hasMoved: false };
        event.currentTarget.setPointerCapture(event.pointerId);
      }}
      onPointerMove={(event) => {
        const begun = drag.current;
        const moved = event.offsetX - (begun?.x ?? 0);
        if (begun !== undefined && (begun.hasMoved || Math.abs(moved) > 4)) {
          begun.hasMoved = true;
          chosenRange.value = shift(begun.range, -moved / event.currentTarget.clientWidth);
        }
      }}
      onPointerUp={(event) => {
        if (drag.current?.hasMoved === false) {
          selectedKey.value = findScope(shown, event.offsetX, event.offsetY, event.currentTarget.clientWidth)?.key;
        }
        drag.current = undefined;
      }}
    />
  );
}

function Details({ scope }: { readonly scope: EndedScope }): ComponentChildren {
  const { label, kind, id, outcome, openedAt, duration, task, parent, error } = scope;
  const waited = sum(scope, 'waiting');
  const inTransaction = sum(scope, 'transaction');
  const facts: readonly (readonly [string, string | undefined])[] = [
    ['Ended', outcomes[outcome]],
    ['Error', error],
    ['Kind', kind],
    ['Opened', formatTime(openedAt)],
    ['Took', formatDuration(duration)],
    ['Waited for a connection', formatDuration(waited)],
    ['In transaction', formatDuration(inTransaction)],
    ['Outside of both', formatDuration(duration - waited - inTransaction)],
    ['Task', task],
    ['Started in', parent],
    ['Id', id],
  ];
  return (
    <article class="card" aria-label="Chosen scope">
      <h3>
        <span class={`key ${outcome}`}>{label}</span>
      </h3>
      <dl class="pairs">
        {facts.map(([name, value]) =>
          value === undefined ? null : (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ),
        )}
      </dl>
    </article>
  );
}

function Row({ scope }: { readonly scope: EndedScope }): ComponentChildren {
  const { label, openedAt, duration, outcome, error } = scope;
  return (
    <tr>
      <th scope="row">{label}</th>
      <td>{formatTime(openedAt + duration)}</td>
      <td>
        <span class={`key ${outcome}`}>{outcomes[outcome]}</span>
        {error !== undefined && <small>{error}</small>}
      </td>
      <td class="number">{formatDuration(duration)}</td>
      <td class="number">{formatDuration(sum(scope, 'waiting'))}</td>
      <td class="number">{formatDuration(sum(scope, 'transaction'))}</td>
    </tr>
  );
}

function onKey(event: KeyboardEvent): void {
  switch (event.key) {
    case 'ArrowRight':
      select(1);
      break;
    case 'ArrowLeft':
      select(-1);
      break;
    case '+':
    case '=':
      zoom(0.5);
      break;
    case '-':
      zoom(2);
      break;
    case '0':
      chosenRange.value = undefined;
      break;
    default:
      return;
  }
  event.preventDefault();
}

/** Selects the next or the previous scope, in the order of their beginnings. */
function select(by: 1 | -1): void {
  const scopes = ended.value.toSorted((a, b) => a.openedAt - b.openedAt);
  const index = scopes.findIndex(({ key }) => key === selectedKey.value);
  const next = index === -1 ? scopes.at(-1) : scopes[Math.max(0, Math.min(scopes.length - 1, index + by))];
  selectedKey.value = next?.key;
  const { from, to } = drawing.value;
  if (next !== undefined && (next.openedAt < from || next.openedAt > to)) {
    chosenRange.value = { from: next.openedAt - (to - from) / 2, to: next.openedAt + (to - from) / 2 };
  }
}

function sum({ parts }: EndedScope, kind: 'waiting' | 'transaction'): number {
  return parts.reduce((total, [one, from, to]) => (one === kind ? total + to - from : total), 0);
}
