import suite from './jest.suite.config.js';
import { slowSpecs } from './test/support/slow-specs.ts';

process.env['TEST_QUICK'] = 'on';

/** What needs no second process and no long time: for the inner loop. */
export default {
  ...suite,
  testPathIgnorePatterns: [
    ...(suite.testPathIgnorePatterns ?? ['/node_modules/']),
    ...slowSpecs.map((spec) => `/${RegExp.escape(spec)}$`),
  ],
};
