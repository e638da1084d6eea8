import { testPrograms } from './any-program.js';

describe('any program with request injection', () => {
  testPrograms({ injection: 'request' });
});
