import { statementsOf } from '../session/pool/sql-statements.js';

/** The start of a text that begins a transaction. */
const BEGIN = /^\s*(?:begin|start\s+transaction)\b([^;]*)(?:;|$)/i;
const COMMIT = /^\s*(?:commit|end)(?:\s+(?:work|transaction))?\s*;?\s*$/i;
const ROLL_BACK = /^\s*(?:rollback|abort)(?:\s+(?:work|transaction))?\s*;?\s*$/i;
const READ_ONLY = /\bread\s+only\b/i;

const WORDS = String.raw`(?:begin|start\s+transaction|commit|end|rollback|abort|prepare\s+transaction)\b`;
const MAY_CONTROL = new RegExp(String.raw`(?:^|;)[\s;]*(?:--|/\*|${WORDS})`, 'i');
const CONTROL = new RegExp(String.raw`^${WORDS}(?!.*\bto\b)`, 'is');
const LOCAL_SETTING = /\bset_config\s*\(|\bset\s+local\b/i;

/** What a text of SQL does to its transaction. */
export type TestStatement =
  | { readonly kind: 'begin'; readonly isReadOnly: boolean; readonly rest: string }
  | { readonly kind: 'commit' | 'rollback' | 'other' }
  | { readonly kind: 'control'; readonly control: string };

/** Returns what a text does to a transaction. `control` means that the text mixes such commands with others. */
export function readStatement(sql: string): TestStatement {
  if (!MAY_CONTROL.test(sql)) {
    return { kind: 'other' };
  }
  const [begin, options = ''] = BEGIN.exec(sql) ?? [];
  if (begin !== undefined) {
    // The spaces keep the positions in error messages of the server.
    const rest = ' '.repeat(begin.length) + sql.slice(begin.length);
    const control = findControl(rest);
    return control === undefined
      ? { kind: 'begin', isReadOnly: READ_ONLY.test(options), rest }
      : { kind: 'control', control };
  }
  if (COMMIT.test(sql)) {
    return { kind: 'commit' };
  }
  if (ROLL_BACK.test(sql)) {
    return { kind: 'rollback' };
  }
  const control = findControl(sql);
  return control === undefined ? { kind: 'other' } : { kind: 'control', control };
}

/** Whether a text may make a setting until the end of the transaction. In a test, that would be the end of the test. */
export function setsLocally(sql: string): boolean {
  return LOCAL_SETTING.test(sql);
}

function findControl(sql: string): string | undefined {
  return MAY_CONTROL.test(sql) ? statementsOf(sql).find((statement) => CONTROL.test(statement)) : undefined;
}
