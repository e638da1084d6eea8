import type { INestApplicationContext, InjectionToken } from '@nestjs/common';

/** Adds a hint to the error of NestJS for a provider that `get()` cannot return: how to get it in a test. */
export function hintAtResolve(app: INestApplicationContext): void {
  // Not `app.get`: an application of NestFactory stands behind a proxy, which calls that of the object itself.
  const { get } = Object.getPrototypeOf(app) as Pick<INestApplicationContext, 'get'>;
  Object.defineProperty(app, 'get', {
    configurable: true,
    writable: true,
    value(this: INestApplicationContext, ...args: readonly [token: InjectionToken, ...options: unknown[]]): unknown {
      try {
        return Reflect.apply(get, this, args) as unknown;
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
  return error instanceof Error && error.constructor.name === 'InvalidClassScopeException';
}

function hintFor(token: InjectionToken): string {
  const name = typeof token === 'function' ? token.name : `'${String(token)}'`;
  return (
    ` In a test, \`await testing.resolve(${name})\` of SessionTesting returns it in a scope with a session. It is request-scoped ` +
    "because it injects a session: SessionModule.forRoot({ injection: 'contextual' }) makes it a singleton."
  );
}
