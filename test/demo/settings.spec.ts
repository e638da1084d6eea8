import { readSettings } from '../../src/settings.js';

describe('readSettings', () => {
  it.each([
    [undefined, true],
    ['', true],
    ['on', true],
    ['off', false],
  ])('takes WORK=%s for %s', (WORK, work) => {
    expect(readSettings(WORK === undefined ? {} : { WORK }).work).toBe(work);
  });

  it('refuses any other word', () => {
    expect(() => readSettings({ WORK: 'no' })).toThrow(
      'Expected the environment variable WORK to be on or off, got "no".',
    );
  });
});
