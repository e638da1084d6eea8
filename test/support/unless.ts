import { getTestDriver, type TestDriver } from './test-driver.js';

type Reasons = Partial<Record<TestDriver, string>>;

/** Gives `it`. On a driver with a reason against it gives what leaves the test out, and says why. */
export function itUnless(reasons: Reasons): jest.It {
  const reason = reasons[getTestDriver()];
  return reason === undefined ? it : leaveOut(reason, it.skip);
}

/** The same for all tests of a `describe`. */
export function describeUnless(reasons: Reasons): jest.Describe {
  const reason = reasons[getTestDriver()];
  return reason === undefined ? describe : leaveOut(reason, describe.skip);
}

function leaveOut<Runner extends jest.It | jest.Describe>(reason: string, skip: Runner): Runner {
  return new Proxy(skip, {
    apply: (target, self, [name, ...rest]: [name: string]) => {
      process.stderr.write(`Left out on ${getTestDriver()}: "${name}". ${reason}\n`);
      return Reflect.apply<unknown, unknown[], unknown>(target as never, self, [name, ...rest]);
    },
    get: (target, key): unknown => {
      const member: unknown = Reflect.get(target, key);
      return key === 'each'
        ? (...cases: unknown[]) => leaveOut(reason, (member as (...table: unknown[]) => Runner)(...cases))
        : member;
    },
  });
}
