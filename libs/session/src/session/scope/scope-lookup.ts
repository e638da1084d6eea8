import { inspect } from 'node:util';

import type { LiveScope } from './live-scope.js';
import type { ScopeStorage } from './scope-storage.js';

/**
 * Finds the scope of the running code for one connection: that of AsyncLocalStorage, or else the scope of the key that
 * `scopeFunc` returns.
 */
export class ScopeLookup {
  readonly #byKey = new WeakMap<object, LiveScope>();

  constructor(
    private readonly storage: ScopeStorage,
    private readonly scopeFunc: (() => object | undefined) | undefined,
  ) {}

  get current(): LiveScope | undefined {
    return this.storage.current ?? this.#ofKey(this.scopeFunc?.());
  }

  #ofKey(key: unknown): LiveScope | undefined {
    if (key === undefined) {
      return undefined;
    }
    if (!isObject(key)) {
      throw new TypeError(
        `Expected \`scopeFunc\` to return an object or undefined, got \`${inspect(key)}\` (${typeof key}).`,
      );
    }
    const known = this.#byKey.get(key);
    if (known !== undefined) {
      return known;
    }
    const scope = this.storage.createScope({ kind: 'key', label: 'SessionModule.scopeFunc' });
    this.#byKey.set(key, scope);
    return scope;
  }
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}
