/** The longest text of a statement: it may contain a whole file. */
const LONGEST = 2_000;

/**
 * The parts of a statement that can be values, and the parts that may contain text like a value: an identifier in
 * quotes is kept, a comment is removed. A part without an end, because the statement was shortened, is removed up to
 * the end.
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

/** Shortens the text of a statement whose values are shown. */
export function showValues(sql: string): string {
  return sql.slice(0, LONGEST);
}
