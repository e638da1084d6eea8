import { find, make, makeId } from './elements.js';
import { describeJob, joinJobs } from './jobs.js';
import { Results } from './results.js';
import { ask, problemsOf } from './server.js';
import { Timeline } from './timeline.js';

/** @import { Job, JobLog, Page, Progress, Result, Run } from './types.d.ts' */

/** The number of results that are shown at once. */
const PAGE_SIZE = 100;

/** Milliseconds between two looks at running jobs. */
const LOOK_MS = 250;

/** Milliseconds of rest after a server did not answer. */
const REST_MS = 2_000;

/** Shows one run while it goes on, and afterwards. */
export class RunPanel {
  #section = find('run', HTMLElement);
  #title = find('run-title', HTMLHeadingElement);
  #cancel = find('cancel', HTMLButtonElement);
  #progress = find('progress', HTMLProgressElement);
  #counts = find('counts', HTMLParagraphElement);
  #told = find('told', HTMLParagraphElement);
  #problem = find('run-problem', HTMLParagraphElement);
  #sessions = find('sessions-told', HTMLParagraphElement);
  #chosenLine = find('chosen', HTMLParagraphElement);
  #pageTold = find('page-told', HTMLSpanElement);
  #previous = find('previous', HTMLButtonElement);
  #next = find('next', HTMLButtonElement);
  #timeline = new Timeline((index) => this.#choose(index));
  #results = new Results();
  #onEnd;
  /** Aborts when another run is opened. */
  #opened = new AbortController();
  /** @type {Run | undefined} */
  #run;
  /** @type {readonly Job[]} */
  #jobs = [];
  /** @type {number | undefined} */
  #chosen;
  /** The offset of the shown results. `newest` until the user turns a page. @type {number | 'newest'} */
  #offset = 'newest';
  #announced = '';
  /** Whether the last request got no answer. */
  #isAway = false;

  /** @param {() => void} onEnd called when the run that is shown has ended */
  constructor(onEnd) {
    this.#onEnd = onEnd;
    this.#cancel.addEventListener('click', () => void this.#cancelRun());
  }

  /** @param {string} id */
  async open(id) {
    this.#opened.abort();
    this.#opened = new AbortController();
    const { signal } = this.#opened;
    this.#problem.textContent = '';
    this.#chosen = undefined;
    this.#announced = '';
    try {
      /** @type {Run} */
      const run = await ask(`jobs/${encodeURIComponent(id)}`, { signal });
      this.#offset = run.finishedAt === null ? 'newest' : 0;
      this.#showRun(run);
      this.#section.hidden = false;
      this.#title.focus({ preventScroll: true });
      this.#section.scrollIntoView({ block: 'nearest' });
      if (run.finishedAt === null) {
        this.#listen(id, signal);
      }
      this.#turnPages(signal);
      await this.#look(signal);
    } catch (error) {
      this.#showProblem(error, signal);
    }
  }

  /**
   * @param {string} id
   * @param {AbortSignal} signal
   */
  #listen(id, signal) {
    const events = new EventSource(`jobs/${encodeURIComponent(id)}/events`);
    signal.addEventListener('abort', () => events.close(), { once: true });
    events.addEventListener('progress', ({ data }) => this.#showProgress(JSON.parse(data)));
    events.addEventListener('end', ({ data }) => {
      events.close();
      this.#showRun(JSON.parse(data));
      this.#onEnd();
    });
  }

  /**
   * Looks at the jobs again and again while the run goes on, and once when it has ended.
   *
   * @param {AbortSignal} signal
   */
  async #look(signal) {
    for (;;) {
      const hasEnded = this.#run?.finishedAt !== null;
      const isSeen = await this.#tryToRefresh(signal);
      if (hasEnded && isSeen) {
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, isSeen ? LOOK_MS : REST_MS));
      signal.throwIfAborted();
    }
  }

  /**
   * Returns whether the server has answered.
   *
   * @param {AbortSignal} signal
   */
  async #tryToRefresh(signal) {
    try {
      await this.#refresh(signal);
      if (this.#isAway) {
        this.#isAway = false;
        this.#problem.textContent = '';
      }
      return true;
    } catch (error) {
      this.#isAway = true;
      this.#showProblem(error, signal);
      return false;
    }
  }

  /** @param {AbortSignal} signal */
  async #refresh(signal) {
    const run = /** @type {Run} */ (this.#run);
    const hasEnded = run.finishedAt !== null;
    const wanted = this.#offset;
    const offset = wanted === 'newest' ? Math.max(0, run.done + run.failed - PAGE_SIZE) : wanted;
    // First the log: a job that ends in between is in the results then.
    /** @type {JobLog} */
    const log = await ask(`page/runs/${run.id}/jobs`, { signal });
    const query = `offset=${offset}&limit=${PAGE_SIZE}`;
    /** @type {Page<Result>} */
    const page = await ask(`jobs/${run.id}/results?${query}`, { signal });
    if (this.#offset !== wanted) {
      // The user has turned the page in the meantime.
      return;
    }
    const isNewest = offset + PAGE_SIZE >= page.total;
    this.#jobs = joinJobs(page.items, log, { hasEnded, isNewest });
    this.#showJobs();
    this.#showPage(page);
  }

  /** @param {AbortSignal} signal */
  #turnPages(signal) {
    const turn = (/** @type {number} */ by) => {
      const { done = 0, failed = 0 } = this.#run ?? {};
      const from = this.#offset === 'newest' ? Math.max(0, done + failed - PAGE_SIZE) : this.#offset;
      this.#offset = Math.max(0, from + by);
      void this.#tryToRefresh(signal);
    };
    this.#previous.addEventListener('click', () => turn(-PAGE_SIZE), { signal });
    this.#next.addEventListener('click', () => turn(PAGE_SIZE), { signal });
  }

  async #cancelRun() {
    const { signal } = this.#opened;
    try {
      await ask(`jobs/${this.#run?.id}`, { method: 'DELETE' });
    } catch (error) {
      this.#showProblem(error, signal);
    }
  }

  /** @param {Run} run */
  #showRun(run) {
    this.#run = run;
    this.#title.replaceChildren('Run ', makeId(run.id));
    this.#showCounts(run);
    if (run.finishedAt !== null && document.activeElement === this.#cancel) {
      this.#title.focus();
    }
    this.#cancel.hidden = run.finishedAt !== null;
  }

  /** @param {Progress} progress */
  #showProgress(progress) {
    const { state, done, failed } = progress;
    this.#run = { .../** @type {Run} */ (this.#run), state, done, failed };
    this.#showCounts(progress);
  }

  /** @param {Progress} progress */
  #showCounts({ state, done, failed, total, rate, timeLeft }) {
    this.#progress.max = total;
    this.#progress.value = done + failed;
    const pace = rate === undefined ? '' : `, ${rate.toFixed(rate < 10 ? 1 : 0)} jobs a second`;
    const left = timeLeft === undefined || state !== 'running' ? '' : `, ${(timeLeft / 1_000).toFixed(1)} s left`;
    this.#counts.textContent = `${state}: ${done} of ${total} committed, ${failed} failed${pace}${left}`;
    this.#announce(state, done + failed, total);
  }

  /**
   * Tells a screen reader the progress at each quarter, and the end.
   *
   * @param {Run['state']} state
   * @param {number} ended
   * @param {number} total
   */
  #announce(state, ended, total) {
    const quarter = Math.floor((4 * ended) / total) * 25;
    const news = state === 'running' ? `The run is at ${quarter} percent` : `The run is ${state}`;
    if (news !== this.#announced) {
      this.#announced = news;
      this.#told.textContent = news;
    }
  }

  #showJobs() {
    const run = /** @type {Run} */ (this.#run);
    this.#timeline.show(run, this.#jobs, this.#chosen);
    this.#results.show(this.#jobs, this.#chosen);
    // Of a long run only a part is shown.
    const jobs = run.done + run.failed > PAGE_SIZE ? 'jobs are shown' : 'jobs';
    const ids = this.#jobs.flatMap(({ sessionId }) => sessionId ?? []);
    this.#sessions.replaceChildren(
      make('strong', '', `${ids.length} ${jobs}, ${new Set(ids).size} sessions. `),
      'Each job has one of its own. ',
      make('span', 'also', 'The request that started the run had another: ', makeId(run.requestSessionId)),
    );
    const chosen = this.#jobs.find(({ index }) => index === this.#chosen);
    this.#chosenLine.textContent = chosen === undefined ? '' : describeJob(chosen);
  }

  /** @param {Page<Result>} page */
  #showPage({ total, offset, items }) {
    const last = offset + items.length;
    this.#pageTold.textContent = total === 0 ? 'none yet' : `${offset + 1} to ${last} of ${total}`;
    this.#previous.disabled = offset === 0;
    this.#next.disabled = last >= total;
  }

  /** @param {number} index */
  #choose(index) {
    this.#chosen = index;
    this.#showJobs();
  }

  /**
   * @param {unknown} error
   * @param {AbortSignal} signal
   */
  #showProblem(error, signal) {
    if (!signal.aborted) {
      this.#section.hidden = false;
      this.#problem.textContent = problemsOf(error).join(' ');
    }
  }
}
