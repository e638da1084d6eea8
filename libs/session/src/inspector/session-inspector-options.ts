import { aName, assertOptions, integerFrom, ofType, type Rule } from '../session/assert-options.js';
import type { HttpRequest } from '../nest/http/http-options.js';

/** Options of SessionInspectorModule. */
export interface SessionInspectorOptions {
  /**
   * Returns whether a request may see the page and its data. Without it, only clients on the same machine may, and an
   * application with `NODE_ENV=production` does not start. The parameter may have the type of your platform's request.
   */
  authorize?(request: HttpRequest): boolean | Promise<boolean>;
  /** The number of ended scopes that are kept. @default 1000 */
  readonly history?: number;
  /** Whether a scope can be ended from the page. @default false */
  readonly actions?: boolean;
  /**
   * Whether the page shows the values in statements, the messages of PostgreSQL, and the payload of messages. They may
   * be personal data.
   *
   * @default false
   */
  readonly values?: boolean;
}

/** Options that decide on the routes. They cannot come from a factory. */
export interface SessionInspectorExtras {
  /** The path of the page, below the global prefix. @default '/sessions' */
  readonly path?: string;
}

/** Makes the options of SessionInspectorModule, for `useClass` and `useExisting` of forRootAsync(). */
export interface SessionInspectorOptionsFactory {
  /** Called once, at the start of the application. */
  createSessionInspectorOptions(): SessionInspectorOptions | Promise<SessionInspectorOptions>;
}

const rules: Record<keyof SessionInspectorOptions, Rule> = {
  authorize: ofType('function'),
  history: integerFrom(1),
  actions: ofType('boolean'),
  values: ofType('boolean'),
};

/** @throws {TypeError} for the first option that is unknown or has a wrong value */
export function assertInspectorOptions(options: SessionInspectorOptions): void {
  const { path: _path, ...provided } = options as SessionInspectorOptions & SessionInspectorExtras;
  assertOptions('SessionInspectorModule', provided, rules);
}

/** @throws {TypeError} for a value that is not a path */
export function assertInspectorPath(path: unknown): asserts path is string {
  if (!aName.holds(path) || !/^\/?[\w.~-]+(?:\/[\w.~-]+)*\/?$/.test(path as string)) {
    throw new TypeError(
      `Expected \`path\` of SessionInspectorModule to be a path such as '/sessions', got "${String(path)}".`,
    );
  }
}
