import { find, make } from './elements.js';
import { ask, problemsOf } from './server.js';

/** @import { Run } from './types.d.ts' */

/**
 * The form that starts a run.
 *
 * @param {(run: Run) => void} onStart
 */
export function setUpStartForm(onStart) {
  const form = find('start', HTMLFormElement);
  const problems = find('start-problems', HTMLUListElement);
  const button = /** @type {HTMLButtonElement} */ (form.querySelector('button'));

  const start = async () => {
    button.disabled = true;
    problems.replaceChildren();
    try {
      onStart(await ask('jobs', { method: 'POST', body: readRequest() }));
    } catch (error) {
      problems.append(...problemsOf(error).map((problem) => make('li', '', problem)));
    } finally {
      button.disabled = false;
    }
  };

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void start();
  });
}

function readRequest() {
  const failOn = readList(valueOf('fail-on'));
  return {
    ...readNumbers(valueOf('numbers')),
    concurrency: readNumber(valueOf('concurrency')),
    engine: find('engine', HTMLSelectElement).value,
    simulate: { delayMs: readNumber(valueOf('delay')), ...(failOn.length > 0 && { failOn }) },
  };
}

/** @param {string} text a range or a list */
function readNumbers(text) {
  const [, from, to] = /^(\d+)\s*(?:-|–|to)\s*(\d+)$/.exec(text) ?? [];
  return from === undefined ? { numbers: readList(text) } : { from: Number(from), to: Number(to) };
}

/** @param {string} text */
function readList(text) {
  return text
    .split(/[\s,;]+/)
    .filter((word) => word !== '')
    .map(readNumber);
}

/**
 * Sends other texts as they are: the server refuses them, and says why.
 *
 * @param {string} text
 */
function readNumber(text) {
  return /^\d+$/.test(text) ? Number(text) : text;
}

/** @param {string} id */
function valueOf(id) {
  return find(id, HTMLInputElement).value.trim();
}
