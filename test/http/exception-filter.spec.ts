import { EntityManager } from '@mikro-orm/postgresql';
import {
  type ArgumentsHost,
  type CanActivate,
  Catch,
  Controller,
  type ExceptionFilter,
  ForbiddenException,
  Get,
  Injectable,
  UseFilters,
  UseGuards,
} from '@nestjs/common';
import { APP_FILTER, HttpAdapterHost } from '@nestjs/core';
import { InjectSession, SessionContext } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { injections, platforms } from '../support/test-app.js';
import { useTestApp } from '../support/use-test-app.js';

/** Writes down every error, through the session of the request that failed. */
async function audit(session: EntityManager, error: Error): Promise<unknown> {
  session.create(Note, { text: `audit: ${error.constructor.name}` });
  await session.flush();
  return { notes: await session.count(Note) };
}

@Injectable()
@Catch()
class ControllerFilter implements ExceptionFilter {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly host: HttpAdapterHost,
  ) {}

  async catch(error: Error, host: ArgumentsHost): Promise<void> {
    this.host.httpAdapter.reply(host.switchToHttp().getResponse(), await audit(this.session, error), 500);
  }
}

/** A global filter is a singleton in both modes, so it asks the context. */
@Injectable()
@Catch()
class GlobalFilter implements ExceptionFilter {
  constructor(
    private readonly context: SessionContext<EntityManager>,
    private readonly host: HttpAdapterHost,
  ) {}

  async catch(error: Error, host: ArgumentsHost): Promise<void> {
    this.host.httpAdapter.reply(host.switchToHttp().getResponse(), await audit(this.context.current, error), 500);
  }
}

@Injectable()
class Refusing implements CanActivate {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  async canActivate(): Promise<boolean> {
    await this.session.count(Note);
    throw new ForbiddenException();
  }
}

abstract class FailingRoutes {
  constructor(private readonly session: EntityManager) {}

  @Get('throws')
  async throws(): Promise<never> {
    await this.session.count(Note);
    throw new RangeError('on purpose');
  }

  @Get('in-transaction')
  inTransaction(): Promise<never> {
    return this.session.transactional(async (transaction) => {
      transaction.create(Note, { text: 'rolled back' });
      await transaction.flush();
      throw new RangeError('on purpose');
    });
  }

  @Get('bad-sql')
  async badSql(): Promise<void> {
    await this.session.execute('select nonsense');
  }

  @UseGuards(Refusing)
  @Get('refused')
  refused(): void {}
}

@UseFilters(ControllerFilter)
@Controller('own')
class OwnFilterController extends FailingRoutes {
  constructor(@InjectSession() session: EntityManager) {
    super(session);
  }
}

@Controller('global')
class GlobalFilterController extends FailingRoutes {
  constructor(@InjectSession() session: EntityManager) {
    super(session);
  }
}

describe.each(platforms)('an exception filter over %s', (platform) => {
  describe.each(injections)('with %s injection', (injection) => {
    const { app, database } = useTestApp({
      platform,
      session: { injection },
      controllers: [OwnFilterController, GlobalFilterController],
      providers: [Refusing, { provide: APP_FILTER, useClass: GlobalFilter }],
    });

    beforeEach(() => database.query('delete from note'));

    it.each([
      ['own', 'throws', 'RangeError'],
      ['own', 'in-transaction', 'RangeError'],
      ['own', 'bad-sql', 'InvalidFieldNameException'],
      ['own', 'refused', 'ForbiddenException'],
      ['global', 'throws', 'RangeError'],
      ['global', 'in-transaction', 'RangeError'],
      ['global', 'bad-sql', 'InvalidFieldNameException'],
      ['global', 'refused', 'ForbiddenException'],
    ])('(%s) uses the session after the failure: /%s', async (controller, path, error) => {
      const answer = await fetch(`${app.url}/${controller}/${path}`).then((response) => response.json());

      expect(answer).toEqual({ notes: 1 });
      expect(await database.query('select text from note')).toEqual([{ text: `audit: ${error}` }]);
    });
  });
});
