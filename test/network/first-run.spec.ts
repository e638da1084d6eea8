import { MikroOrmModule } from '@mikro-orm/nestjs';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { INestApplicationContext } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { isTransientError, JobService, SessionModule } from 'nestjs-mikro-session';
import { Client } from 'pg';

import { CapturedLog } from '../support/captured-log.js';
import { NetworkProxy } from '../support/network-proxy.js';
import { ormOptions } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

/** A user with room for one connection. */
const USER = `mikro_session_test_user_${process.pid}`;
const PASSWORD = 'once';

describe('the first jobs of a process whose database is not there', () => {
  let database: TestDatabase;
  let network: NetworkProxy;

  beforeAll(async () => {
    database = await createTestDatabase();
    network = await NetworkProxy.start(database.url);
    await database.query(`create role ${USER} login password '${PASSWORD}' connection limit 1`);
  });

  afterEach(() => network.heal());

  afterAll(async () => {
    await database.query(`drop role ${USER}`);
    await network.close();
    await database.drop();
  });

  /** Starts an application that has not connected yet. */
  async function start(url: string): Promise<INestApplicationContext> {
    const module = await Test.createTestingModule({
      imports: [MikroOrmModule.forRoot(ormOptions(url)), SessionModule.forRoot()],
    }).compile();
    return module.init();
  }

  const urlOfUser = (): string => {
    const url = new URL(database.url);
    url.username = USER;
    url.password = PASSWORD;
    return url.href;
  };

  const work = async (session: EntityManager, n: number): Promise<number> => {
    await session.execute('select 1');
    return n;
  };

  it.each([1, 3])('are tried again until it accepts connections (chunks of %d)', async (chunkSize) => {
    using _log = new CapturedLog();
    network.refuse();
    const app = await start(network.url);
    const before = network.connections;
    const codes = new Set<unknown>();
    const when = (error: unknown): boolean => {
      codes.add(findCode(error));
      void network.accept();
      return isTransientError(error);
    };

    const outcomes = await app
      .get<JobService<EntityManager>>(JobService)
      .settle([0, 1, 2], work, { chunkSize, concurrency: 1, retry: { delay: 50, limit: 50, when } });

    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled']);
    expect(outcomes[0]?.attempts).toBeGreaterThan(1);
    expect([...codes]).toEqual(['ECONNREFUSED']);
    expect(network.connections).toBe(before + 1);
    await app.close();
  });

  it('are tried again until it has a connection left', async () => {
    using _log = new CapturedLog();
    const holder = new Client({ connectionString: urlOfUser() });
    await holder.connect();
    const app = await start(urlOfUser());
    const codes = new Set<unknown>();
    const when = (error: unknown): boolean => {
      codes.add(findCode(error));
      void holder.end();
      return isTransientError(error);
    };

    const outcomes = await app
      .get<JobService<EntityManager>>(JobService)
      .settle([0, 1, 2], work, { concurrency: 1, retry: { delay: 50, limit: 50, when } });

    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled']);
    expect(outcomes[0]?.attempts).toBeGreaterThan(1);
    expect([...codes]).toEqual(['53300']);
    await app.close();
  });

  it('fail one by one where they are not tried again, and the next run may find it', async () => {
    using _log = new CapturedLog();
    network.refuse();
    const app = await start(network.url);
    const jobs = app.get<JobService<EntityManager>>(JobService);

    const outcomes = await jobs.settle([0, 1, 2], work);
    const failure: unknown = await jobs.map([0, 1], work, { retry: { limit: 1, delay: 1 } }).catch((error) => error);
    await network.accept();

    expect(outcomes).toMatchObject(
      [0, 1, 2].map((index) => ({ index, status: 'rejected', ending: 'failed', attempts: 1 })),
    );
    expect(outcomes.map((outcome) => outcome.status === 'rejected' && findCode(outcome.reason))).toEqual(
      Array(3).fill('ECONNREFUSED'),
    );
    expect(failure).toMatchObject({ message: '2 of 2 jobs of work failed' });
    expect(await jobs.map([0, 1, 2], work)).toEqual([0, 1, 2]);
    await app.close();
  });
});

function findCode(error: unknown): unknown {
  const { code, cause } = error as { readonly code?: unknown; readonly cause?: unknown };
  return code ?? (cause === undefined ? undefined : findCode(cause));
}
