/** @import { Job } from './types.d.ts' */

/** @typedef {Job & { readonly from: number, readonly to: number, readonly lane: number }} PlacedJob */

/**
 * Puts each job, in the order of their starts, into the first free lane: the jobs of a lane never overlap.
 *
 * @param {readonly Job[]} jobs jobs without known times are left out
 * @returns {PlacedJob[]}
 */
export function placeInLanes(jobs) {
  /** @type {number[]} */
  const ends = [];
  return jobs
    .flatMap((job) => (job.from === null || job.to === null ? [] : [{ ...job, from: job.from, to: job.to }]))
    .toSorted((a, b) => a.from - b.from || a.index - b.index)
    .map((job) => {
      const free = ends.findIndex((end) => end <= job.from);
      const lane = free === -1 ? ends.length : free;
      ends[lane] = Math.max(job.to, job.from + 1);
      return { ...job, lane };
    });
}
