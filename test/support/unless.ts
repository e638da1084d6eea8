import { leaveOut } from './left-out.js';
import { getTestDriver, type TestDriver } from './test-driver.js';

type Reasons = Partial<Record<TestDriver, string>>;

/** Gives `it`. On a driver with a reason against it gives what leaves the test out, and says why. */
export function itUnless(reasons: Reasons): jest.It {
  const on = getTestDriver();
  const reason = reasons[on];
  return reason === undefined ? it : leaveOut(it.skip, { on, reason });
}

/** The same for all tests of a `describe`. */
export function describeUnless(reasons: Reasons): jest.Describe {
  const on = getTestDriver();
  const reason = reasons[on];
  return reason === undefined ? describe : leaveOut(describe.skip, { on, reason });
}
