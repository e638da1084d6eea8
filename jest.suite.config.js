import base from './jest.config.js';
import { findAllHeld } from './test/support/rooms.ts';

const isNamed = process.argv.some((word) => word.includes('.spec'));

/** All specs, those of a room together. A spec that is named on the command line runs alone. */
export default isNamed
  ? base
  : {
      ...base,
      testMatch: ['**/*.spec.ts', '**/room.ts'],
      testPathIgnorePatterns: ['/node_modules/', ...findAllHeld().map((spec) => `${RegExp.escape(spec)}$`)],
    };
