import { Lanes } from '../../src/runs/lanes.js';

describe('Lanes', () => {
  const { signal } = new AbortController();

  it('makes who asks for more than is free wait until enough is given back', async () => {
    const lanes = new Lanes(4);
    const order: string[] = [];
    const giveBack = await lanes.take(3, signal);
    const second = lanes.take(2, signal).then(() => order.push('second began'));

    order.push('first ended');
    giveBack();
    await second;

    expect(order).toEqual(['first ended', 'second began']);
  });

  it('lets nobody overtake who waits', async () => {
    const lanes = new Lanes(4);
    const order: string[] = [];
    const giveBack = await lanes.take(3, signal);
    const large = lanes.take(4, signal).then((back) => {
      order.push('large');
      back();
    });
    const small = lanes.take(1, signal).then(() => order.push('small'));

    giveBack();
    await Promise.all([large, small]);

    expect(order).toEqual(['large', 'small']);
  });

  it('lets the next begin when who waits gives up', async () => {
    const lanes = new Lanes(4);
    const impatience = new AbortController();
    await lanes.take(3, signal);
    const large = lanes.take(4, impatience.signal);
    const small = lanes.take(1, signal);

    impatience.abort(new Error('given up'));

    await expect(large).rejects.toThrow('given up');
    await expect(small).resolves.toEqual(expect.any(Function));
  });
});
