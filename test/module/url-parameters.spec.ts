import { MikroOrmModule } from '@mikro-orm/nestjs';
import { MikroORM, type Options } from '@mikro-orm/postgresql';
import { Test } from '@nestjs/testing';
import { SessionFactory, SessionModule } from 'nestjs-mikro-session';

import { CapturedLog } from '../support/captured-log.js';
import { ormOptions } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const UNSAFE = expect.stringContaining('"sslmode"');

describe('a parameter of clientUrl', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterAll(() => database.drop());

  const urlWith = (parameters: string): string => `${database.url}?${parameters}`;

  /** Starts an application, runs one statement, and gives the warnings before and after it. */
  async function findWarnings(options: Partial<Options>): Promise<{ atStart: string[]; inAll: string[] }> {
    using log = new CapturedLog();
    const module = await Test.createTestingModule({
      imports: [MikroOrmModule.forRoot(ormOptions(database.url, options)), SessionModule.forRoot()],
    })
      .setLogger(log)
      .compile();
    const app = module.createNestApplication();
    await app.init();
    const atStart = [...log.warnings];
    try {
      await app.get(SessionFactory).run((session) => session.getConnection().execute('select 1'));
    } finally {
      await app.close();
    }
    return { atStart, inAll: log.warnings };
  }

  it('that MikroORM drops is named at start, with what to do', async () => {
    const { atStart } = await findWarnings({
      clientUrl: urlWith('sslmode=require&application_name=notes&schema=public'),
    });

    expect(atStart).toEqual([
      'MikroORM does not read "sslmode", "application_name" in the clientUrl of the connection "default", so that it may ' +
        'send everything in clear text. Set it in driverOptions, as node-postgres calls it: ' +
        '`driverOptions: { ssl: true }`, or leave it out of the URL.',
    ]);
  });

  it('that has nothing to do with encryption is named, too', async () => {
    const { atStart } = await findWarnings({ clientUrl: urlWith('application_name=notes') });

    expect(atStart).toEqual([
      'MikroORM does not read "application_name" in the clientUrl of the connection "default". Set it in driverOptions, ' +
        'as node-postgres calls it, or leave it out of the URL.',
    ]);
  });

  it('is named once, however often MikroORM connects, also where driverOptions is a function', async () => {
    const { inAll } = await findWarnings({ clientUrl: urlWith('sslmode=require'), driverOptions: () => ({}) });

    expect(inAll).toEqual([UNSAFE]);
  });

  it('of a read replica is named', async () => {
    const { atStart } = await findWarnings({
      replicas: [{ name: 'replica', clientUrl: urlWith('sslmode=verify-full') }],
    });

    expect(atStart).toEqual([UNSAFE]);
  });

  it.each<[string, string, NonNullable<Options['driverOptions']>]>([
    ['schema, which MikroORM reads', 'schema=public', {}],
    ['sslmode=disable, which holds anyway', 'sslmode=disable', {}],
    ['sslmode, where ssl is given', 'sslmode=require&channel_binding=require', { ssl: false }],
    ['sslmode, where a function gives ssl', 'sslmode=require', () => ({ ssl: false })],
    ['application_name, where it is given', 'application_name=notes', { application_name: 'notes' }],
  ])('is not named when it is %s', async (_name, parameters, driverOptions) => {
    const { inAll } = await findWarnings({ clientUrl: urlWith(parameters), driverOptions });

    expect(inAll).toEqual([]);
  });

  it('is not named where another URL is connected to', async () => {
    const { inAll } = await findWarnings({
      clientUrl: urlWith('sslmode=require'),
      driverOptions: { connectionString: database.url },
    });

    expect(inAll).toEqual([]);
  });

  it('is not named where the connections are those of a Kysely instance', async () => {
    // The application closes it.
    const orm = await MikroORM.init(ormOptions(database.url));

    const { inAll } = await findWarnings({
      clientUrl: urlWith('sslmode=require'),
      driverOptions: orm.em.getKysely(),
    });

    expect(inAll).toEqual([]);
  });

  it('is not looked for behind a question mark of a password', async () => {
    const { hostname: host, port, username: user, password } = new URL(database.url);

    const { inAll } = await findWarnings({
      clientUrl: 'postgres://notes?secret&word@nowhere/notes',
      dbName: new URL(database.url).pathname.slice(1),
      driverOptions: { host, port: Number(port), user, password },
    });

    expect(inAll).toEqual([]);
  });
});
