import { describeThrown } from '../../session/describe-thrown.js';
import { findSqlState } from '../../session/pool/lost-connection.js';
import { readProperty } from '../../session/read-property.js';

/**
 * Describes a thrown value. The messages of PostgreSQL, and of MikroORM's errors for them, contain values: without
 * `values` they are left out.
 */
export function describeFailure(thrown: unknown, values: boolean): string {
  const state = values ? undefined : findSqlState(thrown);
  if (state === undefined) {
    return describeThrown(thrown);
  }
  const [name, table, constraint] = ['name', 'table', 'constraint'].map((key) => readProperty(thrown, key));
  const of = [
    typeof constraint === 'string' ? `constraint "${constraint}"` : '',
    typeof table === 'string' ? `table "${table}"` : '',
  ].filter((part) => part !== '');
  return [`${typeof name === 'string' ? name : 'Error'} with the SQL state ${state}`, ...of].join(', ');
}
