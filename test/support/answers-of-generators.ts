/** What the tests of them need of NestJS. */
export const ANSWERS_OF_GENERATORS = {
  version: '12.0.0',
  reason: 'NestJS answers with what a generator yields since 12.',
};
