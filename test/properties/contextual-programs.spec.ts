import { testPrograms } from './any-program.js';

describe('any program with contextual injection', () => {
  testPrograms({ injection: 'contextual' });
});
