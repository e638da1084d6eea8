import { describeThrown } from '../../session/describe-thrown.js';
import { findSqlState } from '../../session/pool/lost-connection.js';
import { readProperty } from '../../session/read-property.js';

/** Says what was thrown. Errors of PostgreSQL repeat values, and so does what MikroORM makes of them. */
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
