import type { Cell } from './cell.ts';

type Suite = Pick<Cell, 'name' | 'nest' | 'mikroOrm'>;

/** What `npm run compat -- --suite` runs all tests of this project on. Left out is what the project itself has. */
export const suites: readonly Suite[] = [
  { name: 'nest-11-lowest', nest: '11.1.4' },
  { name: 'nest-11', nest: '^11.1.4' },
  { name: 'mikro-orm-lowest', mikroOrm: '7.1.10' },
  { name: 'mikro-orm-newest', mikroOrm: 'latest' },
];
