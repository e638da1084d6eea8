/** What is said of tests that are left out, for whoever reads the log: `npm run compat -- --suite` counts these lines. */
export interface LeftOut {
  /** A driver of databases, or a version of a package. */
  readonly on: string;
  readonly reason: string;
}

/** Gives what skips the tests of a runner, and says so of each. */
export function leaveOut<Runner extends jest.It | jest.Describe>(skip: Runner, { on, reason }: LeftOut): Runner {
  return new Proxy(skip, {
    apply: (target, self, [name, ...rest]: [name: string]) => {
      process.stderr.write(describeLeftOut(name, { on, reason }));
      return Reflect.apply<unknown, unknown[], unknown>(target as never, self, [name, ...rest]);
    },
    get: (target, key): unknown => {
      const member: unknown = Reflect.get(target, key);
      return key === 'each'
        ? (...cases: unknown[]) => leaveOut((member as (...table: unknown[]) => Runner)(...cases), { on, reason })
        : member;
    },
  });
}

export function describeLeftOut(what: string, { on, reason }: LeftOut): string {
  return `Left out on ${on}: "${what}". ${reason}\n`;
}
