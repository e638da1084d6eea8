import { MySqlDriver } from '@mikro-orm/mysql';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import type { Options, PostgreSqlDriver } from '@mikro-orm/postgresql';
import { Kysely, NodeSqliteDialect } from '@mikro-orm/sqlite';
import type { DynamicModule, INestApplicationContext, Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';

import { SessionFactory, SessionModule } from 'nestjs-mikro-session';
import { JobQueueModule } from 'nestjs-mikro-session/pg-boss';
import { SessionTesting } from 'nestjs-mikro-session/testing';

import { findMariadbUrl } from '../support/databases/mariadb-database.js';
import { CapturedLog } from '../support/captured-log.js';
import { loadDriver } from '../support/load-driver.js';
import { Note } from '../support/note.entity.js';
import { ormOptions } from '../support/test-app.js';
import { createTestDatabase } from '../support/test-database.js';
import { describeMariadb, otherDrivers, startDriverApp } from './support/driver-app.js';
import { createOwnDialect } from './support/own-dialect.js';

interface Started extends AsyncDisposable {
  readonly context: INestApplicationContext;
  readonly warnings: readonly string[];
}

/** Starts an application over a database that only it has, and keeps what it said. */
async function start(
  name: (typeof otherDrivers)[number],
  orm: Partial<Options> = {},
  imports: readonly DynamicModule[] = [],
): Promise<Started> {
  const database = await createTestDatabase(name);
  const { driver } = await loadDriver(database.url);
  const log = new CapturedLog();
  try {
    const module = await Test.createTestingModule({
      imports: [
        MikroOrmModule.forRoot(ormOptions(database.url, { driver, ...orm })),
        SessionModule.forRoot(),
        ...imports,
      ],
    })
      .setLogger(log)
      .compile();
    const context = await module.init();
    return {
      context,
      warnings: log.warnings,
      async [Symbol.asyncDispose]() {
        await context.close();
        log[Symbol.dispose]();
        await database.drop();
      },
    };
  } catch (error) {
    log[Symbol.dispose]();
    await database.drop();
    throw error;
  }
}

describe.each(otherDrivers)('an application that starts on %s', (driver) => {
  it('says in one line what sessions cannot see there, and nothing more when it is used', async () => {
    await using app = await start(driver);
    expect(app.warnings).toEqual([expect.stringMatching(/^The connection "default" is one of .*docs\/drivers\.md\.$/)]);

    await app.context.get(SessionFactory).begin(() => undefined);
    await app.context.get(SessionFactory).run((session) => session.getConnection().execute('select 1'));

    expect(app.warnings).toHaveLength(1);
  });

  it('has no durable queue', async () => {
    await expect(start(driver, {}, [JobQueueModule.forRoot()])).rejects.toThrow(
      'JobQueueModule keeps its jobs in PostgreSQL, and the connection "default" is one of',
    );
  });

  it('has no SessionTesting', async () => {
    await using app = await start(driver);

    await expect(SessionTesting.create(app.context)).rejects.toThrow('works with @mikro-orm/postgresql');
  });
});

describe('a Kysely instance of the user', () => {
  it('is named at start', async () => {
    const kysely = new Kysely({ dialect: new NodeSqliteDialect(':memory:') });
    await using app = await start('sqlite', { driverOptions: kysely });

    expect(app.warnings).toEqual([expect.stringContaining('Its Kysely instance in `driverOptions` is yours')]);
  });
});

describeMariadb('a dialect of the user for MariaDB', () => {
  it('is named at start, with what is not seen', async () => {
    const driverOptions = createOwnDialect((await findMariadbUrl()) ?? '');
    await using app = await start('mariadb', { driverOptions });

    expect(app.warnings).toEqual([expect.stringContaining('Its dialect in `driverOptions` is yours')]);
  });
});

describeMariadb('@mikro-orm/mysql', () => {
  it('is followed as @mikro-orm/mariadb is', async () => {
    const app = await startDriverApp('mariadb', {
      orm: { driver: MySqlDriver as unknown as Type<PostgreSqlDriver>, pool: { min: 0, max: 1 } },
    });
    try {
      const nested = app.factory.begin(async (session) => {
        session.create(Note, { text: 'lost' });
        await session.flush();
        await app.factory.run((inner) => inner.count(Note));
      });

      await expect(nested).rejects.toThrow('make the pool larger');
      await app.factory.begin((session) => session.create(Note, { text: 'kept' }));
      expect(await app.texts()).toEqual(['kept']);
    } finally {
      await app.close();
    }
  });
});
