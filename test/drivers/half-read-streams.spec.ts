import { Note } from '../support/note.entity.js';
import { type DriverApp, otherDrivers, startDriverApp } from './support/driver-app.js';

/** More rows than a stream keeps in memory. */
const MANY = 500;

describe.each(otherDrivers)('a stream on %s that is left half read', (driver) => {
  let app: DriverApp;

  beforeAll(async () => {
    app = await startDriverApp(driver, { orm: { pool: { min: 0, max: 1 } } });
  });

  beforeEach(async () => {
    await app.database.query('delete from note');
    const rows = Array.from({ length: MANY }, (_, index) => `('${index}', 'a')`);
    await app.database.query(`insert into note (text, tenant) values ${rows.join(', ')}`);
  });

  afterAll(() => app.close());

  const countLater = (): Promise<number> => app.factory.begin((session) => session.count(Note));

  it('does not keep the transaction of a fork open that is rolled back', async () => {
    const failed = app.orm.em.fork().transactional(async (em) => {
      await em.execute(`insert into note (text, tenant) values ('lost', 'a')`);
      await em.stream(Note).next();
      throw new Error('of the work');
    });

    await expect(failed).rejects.toThrow('of the work');
    expect(await countLater()).toBe(MANY);
  });

  it('does not keep the transaction of a fork open that is committed, and is not read on', async () => {
    let stream: AsyncIterableIterator<unknown> | undefined;

    await app.orm.em.fork().transactional(async (em) => {
      await em.execute(`insert into note (text, tenant) values ('kept', 'a')`);
      stream = em.stream(Note);
      await stream.next();
    });

    expect(await countLater()).toBe(MANY + 1);
    await expect(stream?.next()).rejects.toThrow('after the end of its transaction');
  });

  it('does not keep the connection', async () => {
    await app.orm.em
      .fork()
      .getKysely()
      .connection()
      .execute((connection) =>
        connection
          .selectFrom('note' as never)
          .selectAll()
          .stream()
          .next(),
      );

    expect(await countLater()).toBe(MANY);
  });
});
