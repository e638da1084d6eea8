/** @import { Job, JobLog, LoggedJob, Result } from './types.d.ts' */

/**
 * Joins the two sources about the jobs of a run: the results, which are committed, and
 * the log of the server, which has running jobs, and failed jobs before the run reports them.
 *
 * @param {readonly Result[]} results
 * @param {JobLog} log
 * @param {{ hasEnded: boolean, isNewest: boolean }} run whether it has ended, and whether these are its newest results
 * @returns {Job[]} in the order of the numbers
 */
export function joinJobs(results, { now, jobs }, { hasEnded, isNewest }) {
  const byIndex = new Map(jobs.map((job) => [job.index, job]));
  const known = results.map((result) => fromResult(result, byIndex.get(result.index)));
  const places = new Set(known.map(({ index }) => index));
  const first = Math.min(...places);
  const others = jobs
    .filter(({ index }) => !places.has(index) && (index >= first || places.size === 0))
    .filter(({ hasFailed }) => isNewest && (hasFailed || !hasEnded))
    .map((job) => fromLog(job, Date.parse(now)));
  return [...known, ...others].toSorted((a, b) => a.index - b.index);
}

/**
 * @param {Result} result
 * @param {LoggedJob | undefined} logged
 * @returns {Job}
 */
function fromResult({ index, number, status, factors, error, ...times }, logged) {
  const { sessionId, startedAt, finishedAt } = status === 'failed' && logged !== undefined ? logged : times;
  return { index, number, state: status, factors, error, sessionId, from: toTime(startedAt), to: toTime(finishedAt) };
}

/**
 * A job that has ended without a result yet is about to commit.
 *
 * @param {LoggedJob} job
 * @param {number} now
 * @returns {Job}
 */
function fromLog({ index, number, sessionId, startedAt, finishedAt, hasFailed }, now) {
  return {
    index,
    number,
    state: hasFailed ? 'failed' : 'running',
    factors: null,
    error: hasFailed ? 'The job failed.' : null,
    sessionId,
    from: toTime(startedAt),
    to: toTime(finishedAt) ?? now,
  };
}

/** @param {string | null} text */
function toTime(text) {
  return text === null ? null : Date.parse(text);
}

/** @param {Job} job */
export function describeJob({ number, state, sessionId, from, to }) {
  const session = sessionId === null ? 'session not known' : `session ${sessionId}`;
  const took = from === null || to === null ? '' : `, ${to - from} ms`;
  return `Number ${number}, ${session}, ${state === 'done' ? 'committed' : state}${took}`;
}
