import { computed, signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';

import type { LiveScopeView } from '../state/inspector-state.js';
import { endScope } from './connect.js';
import { formatCount, formatDuration } from './format.js';
import { hasActions, now, scopes, totalScopes } from './store.js';

/** The largest number of rows that are shown. The filter finds the others. */
const ROWS = 200;

type Column = 'label' | 'kind' | 'age' | 'transaction' | 'wait' | 'entities';

const columns: readonly { readonly column: Column; readonly title: string }[] = [
  { column: 'label', title: 'Scope' },
  { column: 'kind', title: 'Kind' },
  { column: 'age', title: 'Age' },
  { column: 'transaction', title: 'Transaction' },
  { column: 'wait', title: 'Waits for' },
  { column: 'entities', title: 'Entities' },
];

const sortedBy = signal<{ readonly column: Column; readonly isUp: boolean }>({ column: 'age', isUp: false });
const filter = signal('');
const kind = signal('');
const told = signal('');

const found = computed(() => {
  const words = filter.value
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  return scopes.value.filter(
    (scope) => (kind.value === '' || scope.kind === kind.value) && words.every((word) => textOf(scope).includes(word)),
  );
});

const shown = computed(() => {
  const { column, isUp } = sortedBy.value;
  return found.value.toSorted((a, b) => compare(a, b, column) * (isUp ? 1 : -1)).slice(0, ROWS);
});

export function ScopesView(): ComponentChildren {
  const kinds = [...new Set(scopes.value.map((scope) => scope.kind))].toSorted();
  return (
    <section id="scopes" aria-labelledby="scopes-title">
      <h2 id="scopes-title">
        Live scopes <span class="count">{formatCount(totalScopes.value)}</span>
      </h2>
      <p class="note">
        A scope is the lifetime of a session: a request, a message, a job or a block of code. Each has a session of its
        own.
      </p>
      <div class="tools">
        <label>
          Find
          <input
            type="search"
            value={filter.value}
            placeholder="label, statement, info"
            onInput={({ currentTarget }) => {
              filter.value = currentTarget.value;
            }}
          />
        </label>
        <label>
          Kind
          <select
            value={kind.value}
            onChange={({ currentTarget }) => {
              kind.value = currentTarget.value;
            }}
          >
            <option value="">all</option>
            {kinds.map((one) => (
              <option key={one} value={one}>
                {one}
              </option>
            ))}
          </select>
        </label>
        <p class="muted" role="status">
          {told.value}
        </p>
      </div>
      <div class="scroll" role="region" aria-labelledby="scopes-title" tabIndex={0}>
        <table>
          <thead>
            <tr>
              {columns.map((one) => (
                <Heading key={one.column} {...one} />
              ))}
              <th scope="col">Statement and details</th>
              {hasActions.value && <th scope="col">Action</th>}
            </tr>
          </thead>
          <tbody>
            {shown.value.map((scope) => (
              <Row key={scope.id} scope={scope} />
            ))}
          </tbody>
        </table>
      </div>
      <p class="muted">{describeRest(found.value.length)}</p>
    </section>
  );
}

function Heading({ column, title }: { readonly column: Column; readonly title: string }): ComponentChildren {
  const isSorted = sortedBy.value.column === column;
  const { isUp } = sortedBy.value;
  const order = isUp ? 'ascending' : 'descending';
  return (
    <th scope="col" aria-sort={isSorted ? order : 'none'}>
      <button
        type="button"
        onClick={() => {
          sortedBy.value = { column, isUp: isSorted ? !isUp : column === 'label' || column === 'kind' };
        }}
      >
        {title}
        <span aria-hidden="true">{arrow(isSorted, isUp)}</span>
      </button>
    </th>
  );
}

function Row({ scope }: { readonly scope: LiveScopeView }): ComponentChildren {
  const { label, kind: kindOf, openedAt, transaction, depth, waitsFor, waitsSince, entities, unflushed } = scope;
  return (
    <tr>
      <th scope="row">
        {label}
        {scope.state !== 'open' && <span class="tag">{scope.state}</span>}
      </th>
      <td>{kindOf}</td>
      <td class="number">{formatDuration(now.value - openedAt)}</td>
      <td>
        {transaction === 'none' ? (
          <span class="muted">none</span>
        ) : (
          <span class={`tag ${transaction}`}>{transaction}</span>
        )}
        {depth > 1 && ` depth ${depth}`}
        {scope.connections.length > 0 && (
          <small>connection {scope.connections.filter((id) => id > 0).join(', ')}</small>
        )}
      </td>
      <td>
        {waitsFor === undefined ? (
          <span class="muted">nothing</span>
        ) : (
          <span class={`tag ${waitsFor}`}>
            {waitsFor} {formatDuration(now.value - (waitsSince ?? now.value))}
          </span>
        )}
      </td>
      <td class="number">
        {entities}
        {unflushed > 0 && <small>{unflushed} unflushed</small>}
      </td>
      <td class="wide">
        {scope.statement !== undefined && <code>{scope.statement}</code>}
        <Details scope={scope} />
      </td>
      {hasActions.value && (
        <td>
          <button type="button" class="danger" aria-label={`End ${label}`} onClick={() => void end(scope)}>
            End
          </button>
        </td>
      )}
    </tr>
  );
}

function Details({ scope }: { readonly scope: LiveScopeView }): ComponentChildren {
  const { id, task, parent, openedIn, info } = scope;
  const facts = Object.entries({ task, 'started in': parent, 'opened at': openedIn, ...info, id }).filter(
    ([, value]) => value !== undefined,
  );
  return (
    <details>
      <summary>Details</summary>
      <dl class="pairs">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}

async function end({ id, label }: LiveScopeView): Promise<void> {
  if (!confirm(`End "${label}"? Its open transaction is rolled back, and its code gets an error.`)) {
    return;
  }
  told.value = await endScope(id).catch((error: unknown) => String(error));
}

function arrow(isSorted: boolean, isUp: boolean): string {
  if (!isSorted) {
    return '';
  }
  return isUp ? ' ▲' : ' ▼';
}

function describeRest(count: number): string {
  const known = scopes.value.length;
  if (count === 0) {
    return known === 0 ? 'No scope has a session now.' : 'No scope fits the filter.';
  }
  const more = totalScopes.value > known ? ` The page knows the oldest ${formatCount(known)} of them.` : '';
  return count > ROWS ? `${ROWS} of ${formatCount(count)} are shown.${more}` : more.trim();
}

function textOf({ label, statement = '', info, state, transaction }: LiveScopeView): string {
  return [label, statement, state, transaction, ...Object.entries(info).flat()].join(' ').toLowerCase();
}

function compare(a: LiveScopeView, b: LiveScopeView, column: Column): number {
  switch (column) {
    case 'label':
      return a.label.localeCompare(b.label, 'en', { numeric: true });
    case 'kind':
      return a.kind.localeCompare(b.kind);
    case 'age':
      return b.openedAt - a.openedAt;
    case 'transaction':
      return a.depth - b.depth || a.transaction.localeCompare(b.transaction);
    case 'wait':
      return (b.waitsSince ?? Infinity) - (a.waitsSince ?? Infinity) || 0;
    case 'entities':
      return a.entities - b.entities;
  }
}
