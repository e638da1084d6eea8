import type { EntityManager } from '@mikro-orm/postgresql';
import { JobService, SessionFactory, SessionPoolDeadlockError } from 'nestjs-mikro-session';
import { SessionInspectorModule } from 'nestjs-mikro-session/inspector';

import { Note } from '../support/note.entity.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

describe('read replicas', () => {
  let primary: TestDatabase;
  let replica: TestDatabase;
  let app: TestApp;
  let factory: SessionFactory<EntityManager>;

  beforeAll(async () => {
    primary = await createTestDatabase();
    replica = await createTestDatabase();
    app = await startTestApp({
      databaseUrl: primary.url,
      orm: { replicas: [{ name: 'replica', clientUrl: replica.url }] },
    });
    factory = app.get(SessionFactory);
    // A replica that is another database tells which of the two has answered.
    await primary.query(`insert into note (text) values ('primary')`);
    await replica.query(`create table note (id serial, text text, tenant text default 'a')`);
    await replica.query(`insert into note (text) values ('replica')`);
  });

  afterAll(async () => {
    await app.close();
    await primary.drop();
    await replica.drop();
  });

  const read = async (session: EntityManager): Promise<string[]> =>
    (await session.find(Note, {})).map(({ text }) => text);

  it('answer a session that has no transaction open', async () => {
    expect(await factory.run(read)).toEqual(['replica']);
    expect(await app.get<JobService<EntityManager>>(JobService).map([0], read, { transaction: 'none' })).toEqual([
      ['replica'],
    ]);
  });

  it('are left aside in a transaction, and by a query that asks for the primary', async () => {
    expect(await factory.begin(read)).toEqual(['primary']);
    const [note] = await factory.run((session) => session.find(Note, {}, { connectionType: 'write' }));
    expect(note?.text).toBe('primary');
  });

  it('never get what a session writes', async () => {
    await factory.run((session) => session.persist(Object.assign(new Note(), { text: 'new' })).flush());

    expect(await primary.query(`select text from note where text = 'new'`)).toHaveLength(1);
    expect(await replica.query(`select text from note where text = 'new'`)).toEqual([]);
    await primary.query(`delete from note where text = 'new'`);
  });

  describe('with one connection each', () => {
    let small: TestApp;
    let sessions: SessionFactory<EntityManager>;

    beforeAll(async () => {
      small = await startTestApp({
        databaseUrl: primary.url,
        orm: { pool: { min: 0, max: 1 }, replicas: [{ name: 'replica', clientUrl: replica.url }] },
        imports: [SessionInspectorModule.forRoot()],
      });
      sessions = small.get(SessionFactory);
    });

    afterAll(() => small.app.close());

    it('are watched as the primary is: a wait that cannot end fails', async () => {
      const half = sessions.run(async (session) => {
        const stream = session.stream(Note, {});
        await stream.next();
        return session.count(Note);
      });
      await expect(half).rejects.toThrow(SessionPoolDeadlockError);

      expect(await sessions.run(read)).toEqual(['replica']);
    });

    it('are listed with the primary by the inspector', async () => {
      await sessions.run(read);
      await sessions.begin(read);
      const state = (await (await fetch(`${small.url}/sessions/state`)).json()) as { pools: unknown[] };

      expect(state.pools).toMatchObject([{ max: 1 }, { max: 1 }]);
    });
  });
});
