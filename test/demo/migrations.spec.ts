import { MikroORM } from '@mikro-orm/postgresql';

import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { type DemoApp, startDemo } from './support/demo-app.js';

describe('the migrations', () => {
  let database: TestDatabase;
  let demo: DemoApp;

  beforeEach(async () => {
    database = await createTestDatabase();
    demo = await startDemo(database.url);
  });

  afterEach(async () => {
    await demo.close();
    await database.drop();
  });

  it('make the schema that the entities describe', async () => {
    const orm = demo.app.get<Pick<MikroORM, 'schema'>>(MikroORM);

    expect(await orm.schema.getUpdateSchemaSQL()).toBe('');
  });

  it('can be undone', async () => {
    const orm = demo.app.get<Pick<MikroORM, 'migrator'>>(MikroORM);

    await orm.migrator.down({ to: 0 });

    expect(
      await database.query(`select to_regclass('run') as run, to_regclass('factorisation') as factorisation`),
    ).toEqual([{ run: null, factorisation: null }]);
  });

  it('take the runs that are there for those of a process that is gone', async () => {
    const orm = demo.app.get<Pick<MikroORM, 'migrator'>>(MikroORM);
    await orm.migrator.down();
    await database.query(
      `insert into run values (gen_random_uuid(), 'running', 3, 0, 0, 4, gen_random_uuid(), now(), now(), null)`,
    );
    await demo.close();

    demo = await startDemo(database.url);

    expect(await database.query('select engine, instance_id, state from run')).toEqual([
      { engine: 'process', instance_id: null, state: 'interrupted' },
    ]);
  });

  it('are applied once, also by processes that start at once', async () => {
    const orm = demo.app.get<Pick<MikroORM, 'migrator'>>(MikroORM);
    await orm.migrator.down({ to: 0 });
    await database.query('drop schema pgboss cascade');
    await demo.close();

    const demos = await Promise.all([startDemo(database.url), startDemo(database.url), startDemo(database.url)]);

    expect(await database.query('select name from mikro_orm_migrations')).toHaveLength(2);
    await Promise.all(demos.map(({ app }) => app.close()));
  });
});
