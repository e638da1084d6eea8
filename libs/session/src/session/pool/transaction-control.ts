/** The words that begin or end a transaction or a savepoint. */
const WORDS = String.raw`(?:begin|start\s+transaction|commit|end|rollback|abort|prepare\s+transaction|savepoint|release)\b`;
const FIRST = new RegExp(String.raw`^[\s;]*(?:--|/\*|${WORDS})`, 'i');
const LATER = new RegExp(String.raw`;\s*(?:--|/\*|${WORDS})`, 'i');
const CONTROL = new RegExp(`^${WORDS}`, 'i');
const SAVEPOINT = /^(?:savepoint|release|(?:rollback|abort)\b.*?\bto)\s+(?:savepoint\s+)?"?(\w+)"?$/is;
const OPENING = /^(?:begin|start)\b/i;
const SQL_BODY = /^create\b.*\bbegin\s+atomic\b/is;
/** MikroORM's names of savepoints. */
const OWN_SAVEPOINT = /^trx\d+$/i;

/** What can hold a semicolon or a word that means nothing, and what separates statements. */
const TOKEN = /e'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$([a-z_]\w*)?\$.*?\$\1\$|--[^\n]*|\/\*|;/gis;
const COMMENT_EDGE = /\/\*|\*\//g;

/** Finds a statement that begins or ends a transaction, or a savepoint of MikroORM, among those of a text. */
export function findTransactionControl(sql: string): string | undefined {
  return mayControl(sql) ? statementsOf(sql).find((statement) => isControl(statement)) : undefined;
}

/** Whether a text of SQL begins a transaction that it does not end. */
export function leavesTransactionOpen(sql: string): boolean {
  const last = mayControl(sql) ? statementsOf(sql).findLast((statement) => isControl(statement)) : undefined;
  return last !== undefined && (OPENING.test(last) || /\sand\s+chain$/i.test(last));
}

/** A look that costs next to nothing, for nearly every text. */
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

/** The statements of a text, without comments and the content of literals. */
function statementsOf(sql: string): readonly string[] {
  const statements: string[] = [];
  let statement = '';
  let from = 0;
  const token = new RegExp(TOKEN);
  for (let found = token.exec(sql); found !== null; found = token.exec(sql)) {
    const [text] = found;
    statement += sql.slice(from, found.index);
    from = text === '/*' ? endOfComment(sql, found.index) : token.lastIndex;
    token.lastIndex = from;
    if (text === ';' && !SQL_BODY.test(statement.trim())) {
      statements.push(statement.trim());
      statement = '';
    } else {
      statement += text.startsWith('"') ? text : ' ';
    }
  }
  return [...statements, (statement + sql.slice(from)).trim()];
}

/** PostgreSQL's comments may hold comments. */
function endOfComment(sql: string, start: number): number {
  const edge = new RegExp(COMMENT_EDGE);
  edge.lastIndex = start;
  let depth = 0;
  for (let found = edge.exec(sql); found !== null; found = edge.exec(sql)) {
    depth += found[0] === '/*' ? 1 : -1;
    if (depth === 0) {
      return edge.lastIndex;
    }
  }
  return sql.length;
}
