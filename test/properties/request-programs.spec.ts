import { describeUnless } from '../support/unless.js';
import { testPrograms } from './any-program.js';

const FAULTS = 'Its faults of the network are told in the protocol of PostgreSQL.';

describeUnless({ mariadb: FAULTS, sqlite: FAULTS })('any program with request injection', () => {
  testPrograms('request');
});
