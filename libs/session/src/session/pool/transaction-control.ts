import { type SqlLexis, statementsOf } from './sql-statements.js';

/** The words that begin or end a transaction or a savepoint. */
const WORDS = String.raw`(?:begin(?!\s+not\b)|start\s+transaction|commit|end|rollback|abort|prepare\s+transaction|savepoint|release)\b`;
const FIRST = new RegExp(String.raw`^[\s;]*(?:--|/\*|${WORDS})`, 'i');
const LATER = new RegExp(String.raw`;\s*(?:--|/\*|${WORDS})`, 'i');
const CONTROL = new RegExp(`^${WORDS}`, 'i');
const SAVEPOINT = /^(?:savepoint|release|(?:rollback|abort)\b.*?\bto)\s+(?:savepoint\s+)?["`]?(\w+)["`]?$/is;
const OPENING = /^(?:begin(?!\s+not\b)|start)\b/i;
/** The names of MikroORM's savepoints. */
const OWN_SAVEPOINT = /^trx\d+$/i;

/** Finds a statement in a text that begins or ends a transaction, or a savepoint of MikroORM. */
export function findTransactionControl(sql: string, lexis?: SqlLexis): string | undefined {
  return mayControl(sql) ? statementsOf(sql, lexis).find((statement) => isControl(statement)) : undefined;
}

/** Whether a text of SQL begins a transaction that it does not end. */
export function leavesTransactionOpen(sql: string, lexis?: SqlLexis): boolean {
  const last = mayControl(sql) ? statementsOf(sql, lexis).findLast((statement) => isControl(statement)) : undefined;
  return last !== undefined && (OPENING.test(last) || /\sand\s+chain$/i.test(last));
}

/** A fast check that rules out nearly every text. */
function mayControl(sql: string): boolean {
  return FIRST.test(sql) || (sql.includes(';') && LATER.test(sql));
}

function isControl(statement: string): boolean {
  if (!CONTROL.test(statement)) {
    return false;
  }
  const savepoint = SAVEPOINT.exec(statement)?.[1];
  return savepoint === undefined || OWN_SAVEPOINT.test(savepoint);
}
