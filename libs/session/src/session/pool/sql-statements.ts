/** What can hold a semicolon or a word that means nothing, and what separates statements. */
const TOKEN = /e'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$([a-z_]\w*)?\$.*?\$\1\$|--[^\n]*|\/\*|;/gis;
const COMMENT_EDGE = /\/\*|\*\//g;
const SQL_BODY = /^create\b.*\bbegin\s+atomic\b/is;

/** The statements of a text, without comments and the content of literals. */
export function statementsOf(sql: string): readonly string[] {
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
