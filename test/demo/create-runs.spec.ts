import { MikroORM } from '@mikro-orm/postgresql';

import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { type DemoApp, startDemo } from './support/demo-app.js';

describe('CreateRuns', () => {
  let database: TestDatabase;
  let demo: DemoApp;

  beforeEach(async () => {
    database = await createTestDatabase();
    demo = await startDemo(database.url);
  });

  afterEach(async () => {
    await demo.app.close();
    await database.drop();
  });

  it('makes the schema that the entities describe', async () => {
    const orm = demo.app.get<Pick<MikroORM, 'schema'>>(MikroORM);

    expect(await orm.schema.getUpdateSchemaSQL()).toBe('');
  });

  it('can be undone', async () => {
    const orm = demo.app.get<Pick<MikroORM, 'migrator'>>(MikroORM);

    await orm.migrator.down();

    expect(
      await database.query(`select to_regclass('run') as run, to_regclass('factorisation') as factorisation`),
    ).toEqual([{ run: null, factorisation: null }]);
  });

  it('is applied once', async () => {
    await demo.app.close();

    demo = await startDemo(database.url);

    expect(await database.query('select name from mikro_orm_migrations')).toHaveLength(1);
  });
});
