import { poll } from './poll.ts';

/** Polls until no transaction is open. */
export function untilNone(countOpenTransactions: () => Promise<number>): Promise<void> {
  return poll('no transaction is open', async () => (await countOpenTransactions()) === 0);
}
