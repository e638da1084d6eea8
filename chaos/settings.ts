import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';

/** What a run of chaos is told. */
export interface Settings {
  /** How long it takes at most, from start to table. */
  readonly minutes: number;
  /** All decisions follow from it. When the world answers does not. */
  readonly seed: number;
  /** The only round to run, of those that the seed makes. */
  readonly round: number | undefined;
}

const DEFAULT_MINUTES = 10;
const HIGHEST_SEED = 2 ** 31;

/** @throws {TypeError} for an option that is not known, or not a number */
export function readSettings(args: readonly string[]): Settings {
  const { values } = parseArgs({
    args: [...args],
    options: { minutes: { type: 'string' }, seed: { type: 'string' }, round: { type: 'string' } },
  });
  const minutes = toNumber('minutes', values.minutes) ?? DEFAULT_MINUTES;
  if (!(minutes > 0)) {
    throw new TypeError(`Expected --minutes to be above 0, got "${minutes}"`);
  }
  return {
    minutes,
    seed: toNumber('seed', values.seed) ?? randomInt(HIGHEST_SEED),
    round: toNumber('round', values.round),
  };
}

function toNumber(name: string, text: string | undefined): number | undefined {
  if (text === undefined) {
    return undefined;
  }
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) {
    throw new TypeError(`Expected --${name} to be a number, got "${text}"`);
  }
  return value;
}
