/** What the tests of `getNativeClient()` need of MikroORM. */
export const HANDS_OUT_POOL = { version: '7.2.0', reason: 'MikroORM hands its pool out since 7.2.' };
