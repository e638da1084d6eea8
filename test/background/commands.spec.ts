import { InjectRepository, MikroOrmModule } from '@mikro-orm/nestjs';
import { EntityManager, EntityRepository } from '@mikro-orm/postgresql';
import { Injectable, Module } from '@nestjs/common';
import { InjectSession, InSession, SessionContext, SessionModule } from 'nestjs-mikro-session';

import { findTexts } from '../support/find-texts.js';
import { Note } from '../support/note.entity.js';
import { itSince } from '../support/since.js';
import { injections, ormOptions, startTestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

// Jest does not take a package in CommonJS that requires NestJS, while NestJS itself is being loaded.
const { Command, CommandFactory, CommandRunner, SubCommand } = await import('nest-commander');

const said: unknown[] = [];

@SubCommand({ name: 'count' })
class CountCommand extends CommandRunner {
  constructor(
    @InjectRepository(Note) private readonly notes: EntityRepository<Note>,
    private readonly context: SessionContext<EntityManager>,
  ) {
    super();
  }

  @InSession()
  async run(): Promise<void> {
    said.push([this.context.scope.label, await this.notes.count()]);
  }
}

@Command({ name: 'seed', arguments: '[texts...]' })
class SeedCommand extends CommandRunner {
  constructor(private readonly context: SessionContext<EntityManager>) {
    super();
  }

  @InSession({ transaction: true })
  async run(texts: string[]): Promise<void> {
    for (const text of texts) {
      this.context.current.create(Note, { text });
    }
    if (texts.includes('')) {
      await this.context.current.flush();
      throw new Error('a note without a text');
    }
  }
}

@Command({ name: 'notes', subCommands: [CountCommand] })
class NotesCommand extends CommandRunner {
  async run(): Promise<void> {}
}

@Injectable()
@Command({ name: 'write' })
class WriteCommand extends CommandRunner {
  constructor(@InjectSession() private readonly session: EntityManager) {
    super();
  }

  @InSession()
  async run(): Promise<void> {
    await this.session.insert(Note, { text: 'written' });
  }
}

const outcomes = {
  contextual: { texts: ['written'], said: [] },
  request: {
    texts: [],
    said: [
      expect.stringMatching(
        /^.*"WriteCommand\.run" has @InSession\(\), but was called on an object.*"WriteCommand" is request-scoped.*Use SessionContext\.current/s,
      ),
    ],
  },
};

const WHAT_IS_LEFT = {
  version: '11.1.24',
  reason: 'An earlier NestJS gives a request-scoped command nothing by which it could be told.',
};

describe.each(injections)('a command of nest-commander, with %s injection', (injection) => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
    const { app } = await startTestApp({ databaseUrl: database.url });
    await app.close();
  });

  beforeEach(async () => {
    said.length = 0;
    await database.query('delete from note');
  });

  afterAll(() => database.drop());

  async function run(...args: string[]): Promise<void> {
    @Module({
      imports: [
        MikroOrmModule.forRoot(ormOptions(database.url)),
        MikroOrmModule.forFeature([Note]),
        SessionModule.forRoot({ injection }),
      ],
      providers: [SeedCommand, NotesCommand, CountCommand, WriteCommand],
    })
    class CliModule {}
    const { argv } = process;
    process.argv = [...argv.slice(0, 2), ...args];
    try {
      await CommandFactory.run(CliModule, {
        logger: false,
        serviceErrorHandler: (error) => void said.push(error.message),
      });
    } finally {
      process.argv = argv;
    }
  }

  const texts = (): Promise<string[]> => findTexts(database);

  it('commits what it has written', async () => {
    await run('seed', 'a', 'b');

    expect(await texts()).toEqual(['a', 'b']);
  });

  it('rolls back when it fails', async () => {
    await run('seed', 'a', '');

    expect(said).toEqual(['a note without a text']);
    expect(await texts()).toEqual([]);
  });

  it('has a scope of its own, a command below another too', async () => {
    await database.query(`insert into note (text) values ('a')`);

    await run('notes', 'count');

    expect(said).toEqual([['CountCommand.run', 1]]);
  });

  const itHere = injection === 'request' ? itSince('@nestjs/core', WHAT_IS_LEFT) : it;

  itHere('has its session injected with contextual injection alone', async () => {
    await run('write');

    expect({ texts: await texts(), said }).toEqual(outcomes[injection]);
  });
});
