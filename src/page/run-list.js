import { find, KeyedElements, make, makeId } from './elements.js';
import { ask, problemsOf } from './server.js';

/** @import { Page, Run } from './types.d.ts' */

const COUNT = 20;

const REFRESH_MS = 5_000;

/** Shows the newest runs, of all processes. */
export class RunList {
  #rows = new KeyedElements(find('runs', HTMLTableSectionElement));
  #told = find('runs-told', HTMLParagraphElement);
  #onOpen;

  /** @param {(id: string) => void} onOpen */
  constructor(onOpen) {
    this.#onOpen = onOpen;
    setInterval(() => {
      if (!document.hidden) {
        void this.refresh();
      }
    }, REFRESH_MS);
  }

  async refresh() {
    try {
      /** @type {Page<Run>} */
      const { total, items } = await ask(`jobs?limit=${COUNT}`);
      const shown = total > items.length ? `The newest ${items.length} of ${total}.` : '';
      this.#told.textContent = total === 0 ? 'There is none yet. Start one above.' : shown;
      this.#rows.show(items, {
        key: ({ id, state, done, failed }) => [id, state, done, failed].join(' '),
        make: (run) => this.#makeRow(run),
      });
    } catch (error) {
      this.#told.textContent = problemsOf(error).join(' ');
    }
  }

  /** @param {Run} run */
  #makeRow({ id, state, done, failed, total, engine, createdAt }) {
    const open = make('button', 'link', makeId(id));
    open.type = 'button';
    open.addEventListener('click', () => this.#onOpen(id));
    const head = make('th', '', open);
    head.scope = 'row';
    return make(
      'tr',
      '',
      head,
      make('td', 'state', failed === 0 ? state : `${state}, ${failed} failed`),
      make('td', 'figure', `${done + failed} of ${total}`),
      make('td', '', engine),
      make('td', '', new Date(createdAt).toLocaleTimeString()),
    );
  }
}
