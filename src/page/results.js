import { find, KeyedElements, make, makeId } from './elements.js';

/** @import { Job } from './types.d.ts' */

/** Shows the jobs of a run in a table. */
export class Results {
  #rows = new KeyedElements(find('results', HTMLTableSectionElement));

  /**
   * @param {readonly Job[]} jobs
   * @param {number | undefined} chosen the index of a job
   */
  show(jobs, chosen) {
    const rows = this.#rows.show(jobs, { key: keyOf, make: makeRow });
    jobs.forEach(({ index, state }, place) => {
      const row = /** @type {HTMLElement} */ (rows[place]);
      row.className = `${state}${index === chosen ? ' chosen' : ''}`;
    });
  }
}

/**
 * @param {Job['factors']} factors
 * @param {Job['error']} error
 */
function toText(factors, error) {
  if (factors === null) {
    return error ?? '';
  }
  return factors.length === 0 ? 'none' : factors.join(' × ');
}

/**
 * The key changes when a row has to show more: then the row is made again.
 *
 * @param {Job} job
 */
function keyOf({ index, state, sessionId, error }) {
  return [index, state, sessionId, error].join(' ');
}

/** @param {Job} job */
function makeRow({ number, state, factors, error, sessionId, from, to }) {
  const head = make('th', '', String(number));
  head.scope = 'row';
  const took = state === 'running' || from === null || to === null ? '' : `${to - from} ms`;
  return make(
    'tr',
    '',
    head,
    make('td', '', state === 'running' ? '…' : toText(factors, error)),
    make('td', '', sessionId === null ? '–' : makeId(sessionId)),
    make('td', 'figure', took),
  );
}
