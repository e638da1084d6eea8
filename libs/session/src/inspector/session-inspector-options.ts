import { aName, assertOptions, integerFrom, ofType, type Rule } from '../session/assert-options.js';
import type { HttpRequest } from '../nest/http/http-options.js';

/** Options of SessionInspectorModule. */
export interface SessionInspectorOptions {
  /**
   * Whether a request may see the page and its data. Without, clients of the machine itself may, and an application with
   * `NODE_ENV=production` does not start. The parameter may have the type of your platform's request.
   */
  authorize?(request: HttpRequest): boolean | Promise<boolean>;
  /** How many ended scopes are kept. @default 1000 */
  readonly history?: number;
  /** Whether a scope can be ended from the page. @default false */
  readonly actions?: boolean;
  /**
   * Shows the values in statements, the messages of PostgreSQL, and what came with a message: they may be personal data.
   *
   * @default false
   */
  readonly values?: boolean;
}

/** What decides on the routes, and so cannot come from a factory. */
export interface SessionInspectorExtras {
  /** Where the page is, below the global prefix. @default '/sessions' */
  readonly path?: string;
}

/** Makes the options of SessionInspectorModule, for `forRootAsync({ useClass })`. */
export interface SessionInspectorOptionsFactory {
  createSessionInspectorOptions(): SessionInspectorOptions | Promise<SessionInspectorOptions>;
}

const rules: Record<keyof SessionInspectorOptions, Rule> = {
  authorize: ofType('function'),
  history: integerFrom(1),
  actions: ofType('boolean'),
  values: ofType('boolean'),
};

/** @throws {TypeError} for the first option that is not known, or is not as it has to be */
export function assertInspectorOptions(options: SessionInspectorOptions): void {
  const { path: _path, ...provided } = options as SessionInspectorOptions & SessionInspectorExtras;
  assertOptions('SessionInspectorModule', provided, rules);
}

/** @throws {TypeError} for a path that is none */
export function assertInspectorPath(path: unknown): asserts path is string {
  if (!aName.holds(path) || !/^\/?[\w.~-]+(?:\/[\w.~-]+)*\/?$/.test(path as string)) {
    throw new TypeError(
      `Expected \`path\` of SessionInspectorModule to be a path such as '/sessions', got "${String(path)}".`,
    );
  }
}
