import { EntityManager, type EntityRepository } from '@mikro-orm/postgresql';
import { InjectRepository, MikroOrmModule } from '@mikro-orm/nestjs';
import { Controller, Get, Injectable, Req, UseGuards } from '@nestjs/common';
import { AuthGuard, PassportModule, PassportStrategy } from '@nestjs/passport';
import { InjectSession, SessionContext } from 'nestjs-mikro-session';
import { Strategy } from 'passport-custom';

import { Note } from '../support/note.entity.js';
import { injections, platforms } from '../support/test-app.js';
import { useTestApp } from '../support/use-test-app.js';

interface TokenRequest {
  readonly headers: { readonly authorization?: string };
}

/** Strategies are singletons: passport is told of them once, at start. */
@Injectable()
class ContextStrategy extends PassportStrategy(Strategy, 'context') {
  constructor(private readonly context: SessionContext<EntityManager>) {
    super();
  }

  validate({ headers }: TokenRequest): Promise<Note | null> {
    return this.context.current.findOne(Note, { text: headers.authorization ?? '' });
  }
}

@Injectable()
class RepositoryStrategy extends PassportStrategy(Strategy, 'repository') {
  constructor(@InjectRepository(Note) private readonly notes: EntityRepository<Note>) {
    super();
  }

  validate({ headers }: TokenRequest): Promise<Note | null> {
    return this.notes.findOne({ text: headers.authorization ?? '' });
  }
}

@Controller()
class ProfileController {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  @UseGuards(AuthGuard('context'))
  @Get('context')
  context(@Req() { user }: { user: Note }): Promise<unknown> {
    return this.rename(user);
  }

  @UseGuards(AuthGuard('repository'))
  @Get('repository')
  repository(@Req() { user }: { user: Note }): Promise<unknown> {
    return this.rename(user);
  }

  /** The user that the strategy has loaded is managed by the session of the handler. */
  private async rename(user: Note): Promise<unknown> {
    const isManaged = this.session.getUnitOfWork().getById(Note, user.id) === user;
    user.tenant = 'renamed';
    await this.session.flush();
    return { isManaged, text: user.text };
  }
}

describe.each(platforms)('a passport strategy over %s', (platform) => {
  describe.each(injections)('with %s injection', (injection) => {
    const { app, database } = useTestApp({
      platform,
      session: { injection },
      imports: [PassportModule, MikroOrmModule.forFeature([Note])],
      controllers: [ProfileController],
      providers: [ContextStrategy, RepositoryStrategy],
    });

    beforeEach(() => database.query(`delete from note`));

    const get = (path: string, authorization: string): Promise<Response> =>
      fetch(`${app.url}/${path}`, { headers: { authorization } });

    it.each(['context', 'repository'])('loads the user through the session of the request: %s', async (path) => {
      await database.query(`insert into note (text) values ('secret')`);

      const answer = await get(path, 'secret').then((response) => response.json());

      expect(answer).toEqual({ isManaged: true, text: 'secret' });
      expect(await database.query('select tenant from note')).toEqual([{ tenant: 'renamed' }]);
    });

    it.each(['context', 'repository'])('keeps the users of requests at the same time apart: %s', async (path) => {
      const names = Array.from({ length: 50 }, (_, i) => `user ${i}`);
      await database.query(`insert into note (text) select unnest($1::text[])`, [names]);

      const answers = await Promise.all(
        names.map((name) => get(path, name).then((response) => response.json() as Promise<{ text: string }>)),
      );

      expect(answers.map(({ text }) => text)).toEqual(names);
    });

    it.each(['context', 'repository'])('answers 401 when there is no such user: %s', async (path) => {
      const response = await get(path, 'unknown');

      expect(response.status).toBe(401);
    });
  });
});
