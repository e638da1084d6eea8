import type { OperationNode } from './describe-operation.js';

/**
 * Keeps one value per operation. Several operations may share a context, and several requests may share a parsed
 * document: only both together identify an operation.
 */
export class ByOperation<Value> {
  readonly #values = new WeakMap<object, WeakMap<OperationNode, Value>>();

  get(context: unknown, operation: OperationNode): Value | undefined {
    return this.#values.get(toKey(context, operation))?.get(operation);
  }

  set(context: unknown, operation: OperationNode, value: Value): void {
    const key = toKey(context, operation);
    const known = this.#values.get(key);
    if (known === undefined) {
      this.#values.set(key, new WeakMap([[operation, value]]));
    } else {
      known.set(operation, value);
    }
  }
}

function toKey(context: unknown, operation: OperationNode): object {
  return typeof context === 'object' && context !== null ? context : operation;
}
