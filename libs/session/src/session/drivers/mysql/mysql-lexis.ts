import { type SqlLexis, statementsOf } from '../../pool/sql-statements.js';

export const mysqlLexis: SqlLexis = {
  token: /'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`]|``)*`|--(?:[ \t][^\n]*|$)|#[^\n]*|\/\*|;/gms,
  nameQuote: '`',
  body: /^(?:create\b.*\b(?:procedure|function|trigger|event|package)\b.*\bbegin\b|begin\s+not\s+atomic\b)(?!.*\bend$)/is,
  hasNestedComments: false,
};

/** The statements before which MariaDB and MySQL commit the open transaction. */
const COMMITTING =
  /^(?:create\s+(?!(?:or\s+replace\s+)?temporary\b)|alter\b|drop\s+(?!temporary\b|prepare\b)|rename\b|truncate\b|lock\s+tables?\b|grant\b|revoke\b|set\s+password\b|analyze\s+(?:table|local|no_write_to_binlog)\b|optimize\b|repair\b|check\s+table\b|cache\s+index\b|load\s+index\b|flush\b|(?:un)?install\b|set\s+(?:(?:session|local)\s+|@@(?:session\.|local\.)?)?autocommit\b|(?:start|stop|reset)\s+(?:slave|replica|master)\b|change\s+(?:master|replication)\b)/i;

const CHANGING =
  /^(?:set\s+(?!(?:statement|global|transaction|password)\b|@@global\.)|use\b|lock\b|prepare\b|create\s+(?:or\s+replace\s+)?temporary\b|handler\b)/i;
const LASTING = /\bget_lock\s*\(|@\w+\s*:=/i;

const FIRST_WORD =
  /^[\s;]*(?:--|#|\/\*|create|alter|drop|rename|truncate|lock|grant|revoke|set|analyze|optimize|repair|check|cache|load|flush|install|uninstall|start|stop|reset|change|use|prepare|handler)/i;

/** Finds a statement before which the server would commit the open transaction. */
export function findMysqlCommit(sql: string): string | undefined {
  return mayMatter(sql) ? statementsOf(sql, mysqlLexis).find((statement) => COMMITTING.test(statement)) : undefined;
}

/** Whether the text of a statement changes the connection for longer than a transaction. */
export function changesMysqlConnection(sql: string): boolean {
  return (
    (LASTING.test(sql) || mayMatter(sql)) &&
    statementsOf(sql, mysqlLexis).some((statement) => CHANGING.test(statement) || LASTING.test(statement))
  );
}

/** A fast check that rules out nearly every text. */
function mayMatter(sql: string): boolean {
  return FIRST_WORD.test(sql) || sql.includes(';');
}
