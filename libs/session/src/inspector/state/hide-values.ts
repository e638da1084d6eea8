/** What is cut off a statement, which may hold a file. */
const LONGEST = 2_000;

/**
 * The parts of a statement that can be values, and those in which something may look like one: an identifier in quotes
 * stays, a comment goes. A part that does not end, because the statement was cut, goes to the end.
 */
const PARTS = new RegExp(
  [
    String.raw`"(?:[^"]|"")*(?:"|$)`,
    String.raw`--[^\n]*`,
    String.raw`/\*[\s\S]*?(?:\*/|$)`,
    String.raw`\be'(?:[^'\\]|\\[\s\S]|'')*(?:'|$)`,
    String.raw`(?:\b(?:u&|[bxn]))?'(?:[^']|'')*(?:'|$)`,
    String.raw`\$([a-z_]\w*)?\$[\s\S]*?(?:\$\1\$|$)`,
    String.raw`(?<![\w$"])[-+]?(?:\d[\w.]*|\.\d\w*)`,
    String.raw`\b(?:true|false)\b`,
  ].join('|'),
  'gi',
);

/** Replaces each value in the text of a statement by a question mark. */
export function hideValues(sql: string): string {
  return sql.slice(0, LONGEST).replace(PARTS, (part) => {
    if (part.startsWith('"')) {
      return part;
    }
    return part.startsWith('--') || part.startsWith('/*') ? ' ' : '?';
  });
}

/** Cuts the text of a statement that is shown as it is. */
export function showValues(sql: string): string {
  return sql.slice(0, LONGEST);
}
