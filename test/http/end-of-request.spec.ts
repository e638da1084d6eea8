import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { EntityManager } from '@mikro-orm/postgresql';
import { Controller, Get, Injectable, Res } from '@nestjs/common';
import { InjectSession, type Scope, SessionClosedError, SessionContext } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { injections, platforms } from '../support/test-app.js';
import { useTestApp } from '../support/use-test-app.js';

/** The handler has nothing left to wait for: it returns within this turn of the event loop. */
const theHandlerReturns = nextTurn;

/** Where a test and the handlers it calls meet. */
@Injectable()
class Stage {
  arrived = Promise.withResolvers<{ readonly session: EntityManager; readonly scope: Scope }>();
  goOn = Promise.withResolvers<void>();
  settled = Promise.withResolvers<unknown>();
}

@Controller()
class StageController {
  constructor(
    private readonly stage: Stage,
    @InjectSession() private readonly session: EntityManager,
    private readonly context: SessionContext<EntityManager>,
  ) {}

  @Get('open')
  async open(): Promise<string> {
    await this.arrive();
    await this.session.begin();
    this.session.create(Note, { text: 'never committed' });
    await this.session.flush();
    return 'ok';
  }

  @Get('throws')
  async throws(): Promise<never> {
    await this.arrive();
    await this.session.begin();
    this.session.create(Note, { text: 'never committed' });
    await this.session.flush();
    throw new Error('on purpose');
  }

  @Get('waits')
  async waits(): Promise<void> {
    await this.session.begin();
    await this.arrive();
    await this.goOn();
  }

  @Get('answers-early')
  async answersEarly(@Res() response: { send(body: string): unknown }): Promise<void> {
    await this.arrive();
    response.send('early');
    await this.goOn();
  }

  @Get('outlives')
  async outlives(): Promise<string> {
    await this.arrive();
    void this.stage.goOn.promise
      .then(() => this.context.current)
      .then(this.stage.settled.resolve, this.stage.settled.resolve);
    return 'ok';
  }

  private async arrive(): Promise<void> {
    this.stage.arrived.resolve({ session: this.context.current, scope: this.context.scope });
  }

  private async goOn(): Promise<void> {
    try {
      await this.stage.goOn.promise;
      this.stage.settled.resolve(await this.session.count(Note));
    } catch (error) {
      this.stage.settled.resolve(error);
    }
  }
}

describe.each(platforms)('the end of a request over %s', (platform) => {
  describe.each(injections)('with %s injection', (injection) => {
    let stage: Stage;

    const { app, database } = useTestApp({
      platform,
      session: { injection },
      controllers: [StageController],
      providers: [Stage],
    });

    beforeAll(() => {
      app.app.useLogger(false);
      stage = app.get(Stage);
    });

    beforeEach(() => Object.assign(stage, new Stage()));

    it.each(['open', 'throws'])('rolls back what a handler left open and closes the session: /%s', async (path) => {
      const response = await fetch(`${app.url}/${path}`);
      await response.text();
      const { session, scope } = await stage.arrived.promise;
      await database.untilNoTransaction();

      expect(scope.state).toBe('closed');
      expect(() => session.clear()).toThrow(SessionClosedError);
      expect(() => session.clear()).toThrow(
        `The session of "GET /${path}" was used after its end: its response was sent.`,
      );
      expect(session.getUnitOfWork(false).getIdentityMap().values()).toEqual([]);
      expect(await database.query('select * from note')).toEqual([]);
    });

    it('waits for the handler when the client goes away, then closes the session', async () => {
      const request = httpRequest(`${app.url}/waits`).end();
      request.on('error', () => undefined);
      const { session, scope } = await stage.arrived.promise;
      const { signal } = scope;
      request.destroy();
      await once(signal, 'abort');
      expect(scope.state).toBe('open');

      stage.goOn.resolve();

      expect(await stage.settled.promise).toBe(0);
      await database.untilNoTransaction();
      expect(() => session.clear()).toThrow('its client had disconnected');
    });

    it('waits for a handler that goes on after its answer', async () => {
      const response = await fetch(`${app.url}/answers-early`);
      expect(await response.text()).toBe('early');
      const { session, scope } = await stage.arrived.promise;
      expect(scope.state).toBe('open');

      stage.goOn.resolve();

      expect(await stage.settled.promise).toBe(0);
      await theHandlerReturns();
      await expect(session.count(Note)).rejects.toThrow(SessionClosedError);
    });

    it('leaves no session to a promise that outlives the request', async () => {
      const response = await fetch(`${app.url}/outlives`);
      await response.text();
      const { scope } = await stage.arrived.promise;
      await database.untilNoTransaction();

      stage.goOn.resolve();

      expect(await stage.settled.promise).toBeInstanceOf(SessionClosedError);
      expect(scope.state).toBe('closed');
    });
  });
});
