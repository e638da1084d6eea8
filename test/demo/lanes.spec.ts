import { Lanes, type LaneShare } from '../../src/runs/lanes.js';

const { signal } = new AbortController();

/** Asks for lanes. Gives how many were there at once. */
async function ask(share: LaneShare, count: number): Promise<number> {
  const before = share.held;
  for (let nth = 0; nth < count; nth += 1) {
    share.take(signal).catch(() => undefined);
  }
  await Promise.resolve();
  return share.held - before;
}

describe('Lanes', () => {
  it('give a run that is alone all that it may have, and keep some for those to come', async () => {
    const lanes = new Lanes(40);

    expect(await ask(lanes.share({ isShort: false }), 32)).toBe(32);
    expect(await ask(lanes.share({ isShort: false }), 4)).toBe(4);
  });

  it('give a short run a lane at once, however many long ones wait', async () => {
    const lanes = new Lanes(40);
    for (let nth = 0; nth < 20; nth += 1) {
      await ask(lanes.share({ isShort: false }), 32);
    }

    expect(await ask(lanes.share({ isShort: false }), 1)).toBe(0);
    expect(await ask(lanes.share({ isShort: true }), 1)).toBe(1);
  });

  it('come to be shared alike by runs that go on', async () => {
    const lanes = new Lanes(40);
    const shares = [0, 1, 2, 3].map(() => lanes.share({ isShort: false }));
    for (const share of shares) {
      await ask(share, 500);
    }

    for (let round = 0; round < 100; round += 1) {
      shares.filter(({ held }) => held > 0).forEach((share) => share.giveBack());
    }

    const held = shares.map((share) => share.held);
    expect(Math.max(...held) - Math.min(...held)).toBeLessThanOrEqual(2);
    expect(held.reduce((sum, one) => sum + one)).toBeGreaterThanOrEqual(32);
  });

  it('are not held by who gave up waiting', async () => {
    const lanes = new Lanes(5);
    const impatience = new AbortController();
    const first = lanes.share({ isShort: false });
    const second = lanes.share({ isShort: false });
    await first.take(signal);
    const given = second.take(impatience.signal);

    impatience.abort(new Error('given up'));
    first.giveBack();

    await expect(given).rejects.toThrow('given up');
    expect([first.held, second.held]).toEqual([0, 0]);
    await expect(second.take(signal)).resolves.toBeUndefined();
  });
});
