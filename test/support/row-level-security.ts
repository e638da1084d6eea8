/** What the tests of row-level security need of MikroORM. */
export const ROW_LEVEL_SECURITY = { version: '7.2.0', reason: 'MikroORM has row-level security since 7.2.' };
