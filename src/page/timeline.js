import { find, KeyedElements, make, shortId } from './elements.js';
import { describeJob } from './jobs.js';
import { placeInLanes } from './lanes.js';

/** @import { PlacedJob } from './lanes.js' */
/** @import { Job, Run } from './types.d.ts' */

const TICKS = 5;

/** Shows the jobs of a run as bars in lanes. */
export class Timeline {
  #bars = find('bars', HTMLDivElement);
  #names = find('lane-names', HTMLDivElement);
  #axis = find('axis', HTMLDivElement);
  #elements = new KeyedElements(this.#bars);
  /** @type {readonly PlacedJob[]} */
  #jobs = [];
  #current = 0;
  #onChoose;

  /** @param {(index: number) => void} onChoose called with the index of a job */
  constructor(onChoose) {
    this.#onChoose = onChoose;
    this.#bars.addEventListener('keydown', (event) => this.#move(event));
  }

  /**
   * @param {Run} run
   * @param {readonly Job[]} jobs
   * @param {number | undefined} chosen the index of a job
   */
  show(run, jobs, chosen) {
    this.#jobs = placeInLanes(jobs);
    const start = Math.min(...this.#jobs.map(({ from }) => from));
    const end = Math.max(start + 1, ...this.#jobs.map(({ to }) => to));
    const lanes = Math.max(run.concurrency, ...this.#jobs.map(({ lane }) => lane + 1));
    this.#showLanes(lanes);
    this.#showAxis(Date.parse(run.startedAt ?? run.createdAt), start, end);
    this.#current = Math.min(this.#current, Math.max(0, this.#jobs.length - 1));
    const bars = this.#elements.show(this.#jobs, { key: ({ index }) => index, make: (job) => this.#make(job) });
    this.#jobs.forEach((job, place) => {
      const bar = /** @type {HTMLElement} */ (bars[place]);
      bar.className = `bar ${job.state}${job.index === chosen ? ' chosen' : ''}`;
      bar.tabIndex = place === this.#current ? 0 : -1;
      bar.setAttribute('aria-label', describeJob(job));
      bar.title = describeJob(job);
      const text = /** @type {HTMLElement} */ (bar.firstChild);
      text.textContent = job.sessionId === null ? '' : shortId(job.sessionId);
      bar.style.setProperty('--hue', String(hueOf(job.sessionId ?? '')));
      bar.style.setProperty('--row', String(job.lane));
      bar.style.setProperty('--from', `${(100 * (job.from - start)) / (end - start)}%`);
      bar.style.setProperty('--length', `${(100 * (job.to - job.from)) / (end - start)}%`);
    });
  }

  /** @param {PlacedJob} job */
  #make({ index }) {
    const bar = make('button', 'bar', make('span', ''));
    bar.type = 'button';
    bar.addEventListener('click', () => this.#choose(index));
    bar.addEventListener('focus', () => this.#choose(index));
    return bar;
  }

  /** @param {number} index */
  #choose(index) {
    this.#current = this.#jobs.findIndex((job) => job.index === index);
    [...this.#bars.children].forEach((bar, place) => {
      /** @type {HTMLElement} */ (bar).tabIndex = place === this.#current ? 0 : -1;
    });
    this.#onChoose(index);
  }

  /** @param {KeyboardEvent} event */
  #move(event) {
    const target = this.#targetOf(event.key);
    const bar = target === undefined ? undefined : this.#bars.children[target];
    if (bar instanceof HTMLElement) {
      event.preventDefault();
      bar.focus();
    }
  }

  /** @param {string} key */
  #targetOf(key) {
    switch (key) {
      case 'ArrowRight':
        return this.#current + 1;
      case 'ArrowLeft':
        return this.#current - 1;
      case 'ArrowDown':
        return this.#inLane(1);
      case 'ArrowUp':
        return this.#inLane(-1);
      case 'Home':
        return 0;
      case 'End':
        return this.#jobs.length - 1;
      default:
        return undefined;
    }
  }

  /**
   * Returns the job in the next or the previous lane whose start is nearest to that of this job.
   *
   * @param {1 | -1} step
   */
  #inLane(step) {
    const current = this.#jobs[this.#current];
    if (current === undefined) {
      return undefined;
    }
    const distance = (/** @type {PlacedJob} */ job) => Math.abs(job.from - current.from);
    const [nearest] = this.#jobs
      .filter(({ lane }) => lane === current.lane + step)
      .toSorted((a, b) => distance(a) - distance(b));
    return nearest === undefined ? undefined : this.#jobs.indexOf(nearest);
  }

  /** @param {number} count */
  #showLanes(count) {
    if (this.#names.childElementCount === count) {
      return;
    }
    const names = Array.from({ length: count }, (_, nth) =>
      make('span', '', make('span', 'word', 'Lane '), String(nth + 1)),
    );
    this.#names.replaceChildren(...names);
  }

  /**
   * @param {number} zero when the run began
   * @param {number} start
   * @param {number} end
   */
  #showAxis(zero, start, end) {
    const isEmpty = this.#jobs.length === 0;
    const ticks = Array.from({ length: isEmpty ? 0 : TICKS }, (_, nth) => {
      const seconds = (start - zero + ((end - start) * nth) / (TICKS - 1)) / 1_000;
      return make('span', '', `${seconds.toFixed(seconds < 100 ? 2 : 0)} s`);
    });
    this.#axis.replaceChildren(...ticks);
  }
}

/**
 * Returns a colour for a session.
 *
 * @param {string} sessionId
 */
function hueOf(sessionId) {
  return (Number.parseInt(sessionId.slice(0, 6), 16) || 0) % 360;
}
