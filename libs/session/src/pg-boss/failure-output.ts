/** How many causes of an error are told. */
const MAX_CAUSES = 5;

/** What is stored of an error in the output of its job. */
export interface FailureOutput {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  readonly stack?: string;
  readonly cause?: FailureOutput;
}

/** Describes an error for the output of its job, without what else hangs on it: entities, rows, connections. */
export function toFailureOutput(error: unknown, depth = 0): FailureOutput {
  if (!(error instanceof Error)) {
    return { name: typeof error, message: String(error) };
  }
  const { message, stack, cause } = error;
  const code: unknown = (error as { readonly code?: unknown }).code;
  return {
    name: error.name === 'Error' ? error.constructor.name : error.name,
    message,
    ...((typeof code === 'string' || typeof code === 'number') && { code: String(code) }),
    ...(stack !== undefined && depth === 0 && { stack }),
    ...(cause !== undefined && depth < MAX_CAUSES && { cause: toFailureOutput(cause, depth + 1) }),
  };
}

/** Makes an error that pg-boss stores as just that. */
export function toFailure(error: unknown): Error {
  const output = toFailureOutput(error);
  return Object.assign(new Error(output.message), output);
}
