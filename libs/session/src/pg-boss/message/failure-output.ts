import { describeThrown } from '../../session/describe-thrown.js';
import { readProperty } from '../../session/read-property.js';
import { toStorableText } from './to-storable-text.js';

/** The largest depth of causes that is stored. */
const MAX_CAUSES = 5;
/** The largest number of parts of an AggregateError that are stored. */
const MAX_PARTS = 5;
/** The largest number of errors in an output, with all causes and parts. */
const MAX_ERRORS = 20;

/** The stored form of an error, in the output of its job. */
export interface FailureOutput {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  readonly stack?: string;
  readonly cause?: FailureOutput;
  /** The first parts of an AggregateError. */
  readonly errors?: readonly FailureOutput[];
  /** The number of all parts. */
  readonly errorCount?: number;
}

/**
 * Describes an error for the output of its job, without its other properties, such as entities, rows and connections.
 * Never throws, and PostgreSQL can store the result, whatever was thrown.
 */
export function toFailureOutput(error: unknown): FailureOutput {
  const budget = { left: MAX_ERRORS, seen: new Set<unknown>() };
  return { ...describe(error, 0, budget), ...toStack(error) };
}

/** Makes an error that pg-boss stores in this form. */
export function toFailure(error: unknown): Error {
  const output = toFailureOutput(error);
  return Object.assign(new Error(output.message), output);
}

/** Limits the number of errors: an error may be a part, or the cause, of itself. */
interface Budget {
  readonly seen: Set<unknown>;
  left: number;
}

function describe(error: unknown, depth: number, budget: Budget): FailureOutput {
  budget.left -= 1;
  budget.seen.add(error);
  const [code, cause] = [readProperty(error, 'code'), readProperty(error, 'cause')];
  const parts = listErrorParts(error);
  const shown = parts?.slice(0, depth < MAX_CAUSES ? Math.min(MAX_PARTS, Math.max(budget.left, 0)) : 0);
  return {
    name: toName(error),
    message: toMessage(error),
    ...((typeof code === 'string' || typeof code === 'number') && { code: toStorableText(String(code)) }),
    ...(parts !== undefined && {
      errors: (shown ?? []).filter((part) => !budget.seen.has(part)).map((part) => describe(part, depth + 1, budget)),
      errorCount: parts.length,
    }),
    ...(cause !== undefined &&
      !budget.seen.has(cause) &&
      depth < MAX_CAUSES &&
      budget.left > 0 && { cause: describe(cause, depth + 1, budget) }),
  };
}

function toName(error: unknown): string {
  if (typeof error !== 'object' || error === null) {
    return typeof error;
  }
  const name = readProperty(error, 'name');
  const className = name === 'Error' ? readProperty(readProperty(error, 'constructor'), 'name') : name;
  return typeof className === 'string' && className !== '' ? toStorableText(className) : 'object';
}

function toMessage(error: unknown): string {
  const message = typeof error === 'string' ? error : readProperty(error, 'message');
  return toStorableText(typeof message === 'string' ? message : describeThrown(error));
}

function toStack(error: unknown): { readonly stack?: string } {
  const stack = readProperty(error, 'stack');
  return typeof stack === 'string' ? { stack: toStorableText(stack) } : {};
}

function listErrorParts(error: unknown): readonly unknown[] | undefined {
  const parts = readProperty(error, 'errors');
  try {
    return Array.isArray(parts)
      ? Array.from({ length: parts.length }, (_, nth) => readProperty(parts, nth))
      : undefined;
  } catch {
    // The error is a revoked Proxy.
    return undefined;
  }
}
