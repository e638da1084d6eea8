import { hideValues } from '../../libs/session/src/inspector/state/hide-values.js';

describe('hideValues', () => {
  it.each([
    [`select * from "user" where name = 'O''Brien' and age > 42`, 'select * from "user" where name = ? and age > ?'],
    [`insert into "t1" ("a_2") values (-1.5e3, true, null)`, 'insert into "t1" ("a_2") values (?, ?, null)'],
    [String.raw`select E'it\'s secret', 'next'`, 'select ?, ?'],
    [String.raw`select 'a back\', 'slash'`, 'select ?, ?'],
    ['select $$a secret$$, $tag$it $$ stays$tag$, 1', 'select ?, ?, ?'],
    [`select "a ""quoted"" 'name'" from t`, `select "a ""quoted"" 'name'" from t`],
    [`select 1 -- the 'secret'\nfrom t /* and 'another' */`, 'select ?  \nfrom t  '],
    [`select B'01', X'ff', U&'d\\0061t', N'x'`, 'select ?, ?, ?, ?'],
    [`select 'cut`, 'select ?'],
    ['select /* cut', 'select  '],
    ['select $1, t1.c2', 'select $1, t1.c2'],
    ['savepoint trx1', 'savepoint trx1'],
  ])('makes of %s what has no value', (sql, shown) => {
    expect(hideValues(sql)).toBe(shown);
  });

  it('cuts a value that is in the middle of the end', () => {
    const sql = `select '${'secret'.repeat(1_000)}'`;

    expect(hideValues(sql)).toBe('select ?');
  });
});
