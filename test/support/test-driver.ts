/** The databases that tests run on. */
const testDrivers = ['postgresql', 'mariadb', 'sqlite'] as const;

export type TestDriver = (typeof testDrivers)[number];

/** The database that `TEST_DRIVER` names, for the tests that run on any. @default postgresql */
export function getTestDriver(): TestDriver {
  const wanted = process.env['TEST_DRIVER'] ?? 'postgresql';
  const driver = testDrivers.find((name) => name === wanted);
  if (driver === undefined) {
    throw new Error(`TEST_DRIVER is "${wanted}", which is none of ${testDrivers.join(', ')}.`);
  }
  return driver;
}
