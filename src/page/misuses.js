import { find, make } from './elements.js';
import { ask, problemsOf } from './server.js';

/** @import { Misuse } from './types.d.ts' */

/** Sets up the buttons that commit a misuse on the server. Each shows the error of the library. */
export function setUpMisuses() {
  for (const card of find('misuses', HTMLDivElement).querySelectorAll('article')) {
    const button = /** @type {HTMLButtonElement} */ (card.querySelector('button'));
    const answer = /** @type {HTMLElement} */ (card.querySelector('.answer'));
    button.addEventListener('click', () => void show(answer, card.dataset['misuse'] ?? ''));
  }
}

/**
 * @param {HTMLElement} answer
 * @param {string} name
 */
async function show(answer, name) {
  answer.replaceChildren(...(await commit(name)));
}

/** @param {string} name */
async function commit(name) {
  try {
    /** @type {Misuse} */
    const { error, code, message, help } = await ask(`misuses/${name}`, { method: 'POST', body: {} });
    return [make('strong', '', error), make('p', '', message), make('small', '', ...toGuide(code, help))];
  } catch (error) {
    return problemsOf(error).map((problem) => make('p', '', problem));
  }
}

/**
 * Leads to the guide that is beside the inspector, where the page has one.
 *
 * @param {string} code
 * @param {string} help
 */
function toGuide(code, help) {
  if (document.querySelector('nav a[href="sessions"]') === null) {
    return [`More in ${help}`];
  }
  const link = make('a', '', `More about ${code}`);
  link.href = `sessions/troubleshooting.html#${code.toLowerCase()}`;
  return [link];
}
