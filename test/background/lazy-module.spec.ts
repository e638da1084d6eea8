import { InjectRepository, MikroOrmModule } from '@mikro-orm/nestjs';
import { EntityManager, EntityRepository } from '@mikro-orm/postgresql';
import { Controller, Injectable, Module, Post } from '@nestjs/common';
import { ContextIdFactory, LazyModuleLoader } from '@nestjs/core';
import { InjectSession, InSession, SessionContext } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { itSince } from '../support/since.js';
import { injections } from '../support/test-app.js';
import { useTestApp } from '../support/use-test-app.js';

@Injectable()
class ReportsService {
  constructor(
    @InjectSession() readonly session: EntityManager,
    @InjectRepository(Note) private readonly notes: EntityRepository<Note>,
  ) {}

  async write(text: string): Promise<number[]> {
    this.session.create(Note, { text });
    await this.session.flush();
    return [this.session.id, this.notes.getEntityManager().id];
  }
}

@Injectable()
class Housekeeping {
  constructor(private readonly context: SessionContext<EntityManager>) {}

  @InSession({ transaction: true })
  async purge(): Promise<string> {
    await this.context.current.nativeDelete(Note, {});
    return this.context.scope.label;
  }
}

@Module({ imports: [MikroOrmModule.forFeature([Note])], providers: [ReportsService, Housekeeping] })
class ReportsModule {}

@Injectable()
class Reports {
  constructor(private readonly loader: LazyModuleLoader) {}

  async write(): Promise<number[]> {
    const reports = await this.loader.load(() => ReportsModule, { logger: false });
    const service = await reports.resolve(ReportsService, ContextIdFactory.create());
    return service.write('a report');
  }
}

@Controller()
class ReportsController {
  constructor(
    private readonly loader: LazyModuleLoader,
    private readonly reports: Reports,
    private readonly context: SessionContext<EntityManager>,
  ) {}

  @Post('reports')
  async report(): Promise<{ readonly here: number; readonly there: number[] }> {
    return { here: this.context.current.id, there: await this.reports.write() };
  }

  @Post('purge')
  async purge(): Promise<string> {
    const reports = await this.loader.load(() => ReportsModule, { logger: false });
    return reports.get(Housekeeping).purge();
  }
}

const REQUEST_SCOPED_IN_LAZY = {
  version: '11.1.24',
  reason: 'An earlier NestJS does not make the request-scoped providers of a lazy module for the next request.',
};

describe.each(injections)('a module that is loaded lazily, with %s injection', (injection) => {
  const { app, database } = useTestApp({
    session: { injection },
    controllers: [ReportsController],
    providers: [Reports],
  });

  const itHere = injection === 'request' ? itSince('@nestjs/core', REQUEST_SCOPED_IN_LAZY) : it;

  itHere('has the session of the request that loads it', async () => {
    const post = async (): Promise<{ here: number; there: number[] }> =>
      (await fetch(`${app.url}/reports`, { method: 'POST' })).json() as Promise<{ here: number; there: number[] }>;

    const [first, second] = [await post(), await post()];

    expect(first.there).toEqual([first.here, first.here]);
    expect(second.there).toEqual([second.here, second.here]);
    expect(first.here).not.toBe(second.here);
    expect(await database.query('select text from note')).toEqual([{ text: 'a report' }, { text: 'a report' }]);
  });

  it('has sessions for its methods with @InSession(), in a request and outside of every scope', async () => {
    await database.query(`insert into note (text) values ('old')`);
    const reports = await app.get<LazyModuleLoader>(LazyModuleLoader).load(() => ReportsModule, { logger: false });

    expect(await reports.get(Housekeeping).purge()).toBe('Housekeeping.purge');
    expect(await database.query('select text from note')).toEqual([]);
    const answer = await fetch(`${app.url}/purge`, { method: 'POST' });
    expect(await answer.text()).toBe('POST /purge');
  });
});
