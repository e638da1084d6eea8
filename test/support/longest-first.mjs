import Sequencer from '@jest/test-sequencer';

import { findLongSpec } from './slow-specs.ts';

/** Begins with the rooms and the specs that take longest, so that none of them is left to run alone at the end. */
export default class LongestFirst extends Sequencer {
  async sort(tests) {
    // oxlint-disable-next-line unicorn/no-array-sort -- of the sequencer, not of an array
    const sorted = await super.sort(tests);
    return sorted.toSorted((one, other) => rank(one) - rank(other));
  }
}

function rank({ path }) {
  if (path.endsWith('/room.ts')) {
    return -1;
  }
  const place = findLongSpec(path);
  return place === -1 ? Number.MAX_SAFE_INTEGER : place;
}
