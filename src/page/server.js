/** The refusal of a request by the server, with a line for each invalid field. */
export class RefusedError extends Error {
  /** @param {readonly string[]} problems */
  constructor(problems) {
    super(problems.join(' '));
    this.problems = problems;
  }
}

/**
 * @template Answer
 * @param {string} path from the address of the page
 * @param {{ method?: 'POST' | 'DELETE', body?: unknown, signal?: AbortSignal }} [request]
 * @returns {Promise<Answer>}
 */
export async function ask(path, { method, body, signal } = {}) {
  const response = await fetch(path, {
    ...(method !== undefined && { method }),
    ...(signal !== undefined && { signal }),
    ...(body !== undefined && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
  const answer = await response.json();
  if (!response.ok) {
    throw new RefusedError(toProblems(answer));
  }
  return answer;
}

/** @param {unknown} error */
export function problemsOf(error) {
  return error instanceof RefusedError ? error.problems : [`The server cannot be reached: ${String(error)}`];
}

/** @param {{ message?: string, details?: readonly { field: string, reason: string }[] }} answer */
function toProblems({ message = 'The server gave no reason.', details = [] }) {
  return details.length === 0 ? [message] : details.map(({ field, reason }) => `${field}: ${reason}`);
}
