/** Makes the error of node-postgres for a statement whose connection ends. */
export function terminated(): Error {
  return new Error('Connection terminated unexpectedly');
}
