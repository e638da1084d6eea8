/** The error of node-postgres for what waits on a connection that ends. */
export function terminated(): Error {
  return new Error('Connection terminated unexpectedly');
}
