import type { EntityManager } from '@mikro-orm/postgresql';
import type { SessionFactory } from 'nestjs-mikro-session';

/** Work of sessions that keeps the connection of each until as many have one. */
export function holdTogether(
  count: number,
  onHeld: (held: number) => void = () => undefined,
): (session: EntityManager) => Promise<void> {
  const all = Promise.withResolvers<void>();
  let held = 0;
  return async (session) => {
    await session.execute('select 1');
    held += 1;
    onHeld(held);
    if (held === count) {
      all.resolve();
    }
    await all.promise;
  };
}

/** Holds a transaction on every connection of a pool at the same moment. Gives how many there were. */
export async function holdPool(factory: SessionFactory<EntityManager>, size: number): Promise<number> {
  let most = 0;
  const hold = holdTogether(size, (held) => (most = held));
  await Promise.all(Array.from({ length: size }, () => factory.begin(hold)));
  return most;
}
