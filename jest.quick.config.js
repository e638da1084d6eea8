import base from './jest.config.js';
import { slowSpecs } from './test/support/slow-specs.ts';

/** What needs no second process and no long time: for the inner loop. */
export default {
  ...base,
  testPathIgnorePatterns: ['/node_modules/', ...slowSpecs.map((spec) => `/${spec.replaceAll('.', '\\.')}$`)],
};
