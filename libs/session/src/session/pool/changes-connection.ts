import { statementsOf } from './sql-statements.js';

/** The first words of statements that may change their connection. The effect of DO cannot be seen. */
const WORDS = String.raw`(?:set|listen|prepare|load|do|declare)\b`;
const FIRST = new RegExp(String.raw`^[\s;]*(?:--|/\*|${WORDS})`, 'i');
const LATER = new RegExp(String.raw`;\s*(?:--|/\*|${WORDS})`, 'i');
const ANYWHERE = /\b(?:pg_(?:try_)?advisory_lock(?:_shared)?\s*\(|set_config\s*\(|temp(?:orary)?\b|pg_temp\b)/i;

const CHANGE =
  /^(?:set\s+(?!local\b|transaction\b|constraints\b)|listen\b|prepare\s+(?!transaction\b)|load\b|do\b|declare\b.*\bwith\s+hold\b)/is;
const LASTING =
  /\bpg_(?:try_)?advisory_lock(?:_shared)?\s*\(|\b(?:create|into)\s+(?:or\s+replace\s+)?(?:(?:local|global)\s+)?temp(?:orary)?\b|\bpg_temp\s*\./i;
const SET_CONFIG = /\bset_config\s*\(/gi;
const LOCAL_CONFIG = /\bset_config\s*\([^()]*,\s*true\s*\)/gi;

/** Whether a text of SQL changes the connection for longer than a transaction, as far as the text shows. */
export function changesConnection(sql: string): boolean {
  return mayChange(sql) && statementsOf(sql).some((statement) => isChange(statement));
}

/** A fast check that rules out nearly every text. */
function mayChange(sql: string): boolean {
  return FIRST.test(sql) || ANYWHERE.test(sql) || (sql.includes(';') && LATER.test(sql));
}

function isChange(statement: string): boolean {
  return (
    CHANGE.test(statement) || LASTING.test(statement) || count(statement, SET_CONFIG) > count(statement, LOCAL_CONFIG)
  );
}

function count(statement: string, what: RegExp): number {
  return statement.match(what)?.length ?? 0;
}
