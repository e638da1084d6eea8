import type { INestApplicationContext, InjectionToken } from '@nestjs/common';

/** Adds a hint to the error of NestJS for a provider that `get()` cannot return: how to get it in a test. */
export function hintAtResolve(app: INestApplicationContext): void {
  const { get } = app;
  Object.defineProperty(app, 'get', {
    configurable: true,
    writable: true,
    value: (...args: readonly [token: InjectionToken, ...options: unknown[]]): unknown => {
      try {
        return Reflect.apply(get, app, args) as unknown;
      } catch (error) {
        if (isOfScopedProvider(error)) {
          error.message += hintFor(args[0]);
        }
        throw error;
      }
    },
  });
}

function isOfScopedProvider(error: unknown): error is Error {
  return (
    error instanceof Error &&
    error.constructor.name === 'InvalidClassScopeException' &&
    !/ In a test/.test(error.message)
  );
}

function hintFor(token: InjectionToken): string {
  const name = typeof token === 'function' ? token.name : `'${String(token)}'`;
  return (
    ` In a test, \`await testing.resolve(${name})\` of SessionTesting returns it in a scope with a session. It is request-scoped ` +
    "because it injects a session: SessionModule.forRoot({ injection: 'contextual' }) makes it a singleton."
  );
}
