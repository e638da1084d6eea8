import { testPrograms } from '../properties/any-program.js';
import { injections } from '../support/test-app.js';
import { otherDrivers } from './support/driver-app.js';

/** `TEST_DRIVER` runs more of them, in `test/properties`. */
const RUNS = { mariadb: 12, sqlite: 40, postgresql: 0 };

const combinations = otherDrivers.flatMap((driver) => injections.map((injection) => ({ driver, injection })));

describe.each(combinations)('any program on $driver with $injection injection', ({ driver, injection }) => {
  testPrograms({ driver, injection, runs: RUNS[driver] });
});
