/** The syntax of a database for comments, literals and names, in which a semicolon or keyword means nothing. */
export interface SqlLexis {
  /** Matches such a token, or a separator of statements. */
  readonly token: RegExp;
  /** The first character of a quoted name. Names are kept in the text of a statement. */
  readonly nameQuote: string;
  /** Matches the beginning of a statement with a body, whose semicolons belong to it. */
  readonly body: RegExp;
  readonly hasNestedComments: boolean;
}

/** The syntax of PostgreSQL. */
const POSTGRES: SqlLexis = {
  token: /e'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$([a-z_]\w*)?\$.*?\$\1\$|--[^\n]*|\/\*|;/gis,
  nameQuote: '"',
  body: /^create\b.*\bbegin\s+atomic\b/is,
  hasNestedComments: true,
};

const COMMENT_EDGE = /\/\*|\*\//g;

/** Returns the statements of a text, without comments and without the content of literals. */
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

/** Returns the end of a comment. The comments of PostgreSQL can be nested. */
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
