/** How a database writes what can hold a semicolon or a word that means nothing. */
export interface SqlLexis {
  /** That, and what separates statements. */
  readonly token: RegExp;
  /** The first letter of a token that is a name, and so part of its statement. */
  readonly nameQuote: string;
  /** The beginning of a statement whose semicolons are part of it. */
  readonly body: RegExp;
  readonly hasNestedComments: boolean;
}

/** PostgreSQL's. */
const POSTGRES: SqlLexis = {
  token: /e'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$([a-z_]\w*)?\$.*?\$\1\$|--[^\n]*|\/\*|;/gis,
  nameQuote: '"',
  body: /^create\b.*\bbegin\s+atomic\b/is,
  hasNestedComments: true,
};

const COMMENT_EDGE = /\/\*|\*\//g;

/** The statements of a text, without comments and the content of literals. */
export function statementsOf(sql: string, lexis = POSTGRES): readonly string[] {
  const statements: string[] = [];
  let statement = '';
  let from = 0;
  const token = new RegExp(lexis.token);
  for (let found = token.exec(sql); found !== null; found = token.exec(sql)) {
    const [text] = found;
    statement += sql.slice(from, found.index);
    from = text === '/*' ? endOfComment(sql, found.index, lexis) : token.lastIndex;
    token.lastIndex = from;
    if (text === ';' && !lexis.body.test(statement.trim())) {
      statements.push(statement.trim());
      statement = '';
    } else {
      statement += text.startsWith(lexis.nameQuote) ? text : ' ';
    }
  }
  return [...statements, (statement + sql.slice(from)).trim()];
}

/** PostgreSQL's comments may hold comments. */
function endOfComment(sql: string, start: number, { hasNestedComments }: SqlLexis): number {
  const edge = new RegExp(COMMENT_EDGE);
  edge.lastIndex = start;
  let depth = 0;
  for (let found = edge.exec(sql); found !== null; found = edge.exec(sql)) {
    depth += found[0] === '/*' ? 1 : -1;
    if (depth === 0 || (found[0] === '*/' && !hasNestedComments)) {
      return edge.lastIndex;
    }
  }
  return sql.length;
}
