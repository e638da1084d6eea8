import type { EntityManager } from '@mikro-orm/postgresql';
import { Injectable, Scope } from '@nestjs/common';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { InjectSession, SessionContext, SessionSetupError } from 'nestjs-mikro-session';

import { describeBefore } from '../support/since.js';
import { injections, startTestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { adapters } from './support/gateway-adapters.js';

@WebSocketGateway()
class InjectingGateway {
  @InjectSession() private readonly session!: EntityManager;

  @SubscribeMessage('ask')
  ask(): { event: string; data: number } {
    return { event: 'answer', data: this.session.id };
  }
}

@Injectable()
class Notes {
  constructor(@InjectSession() readonly session: EntityManager) {}
}

@WebSocketGateway()
class IndirectGateway {
  constructor(private readonly notes: Notes) {}

  @SubscribeMessage('ask')
  ask(): { event: string; data: number } {
    return { event: 'answer', data: this.notes.session.id };
  }
}

@Injectable({ scope: Scope.REQUEST })
class RequestNotes extends Notes {
  constructor(@InjectSession() session: EntityManager) {
    super(session);
  }
}

@WebSocketGateway()
class RequestGateway {
  constructor(private readonly notes: RequestNotes) {}

  @SubscribeMessage('ask')
  ask(): { event: string; data: number } {
    return { event: 'answer', data: this.notes.session.id };
  }
}

@WebSocketGateway()
class ContextGateway {
  constructor(private readonly context: SessionContext<EntityManager>) {}

  @SubscribeMessage('ask')
  ask(): { event: string; data: string } {
    return { event: 'answer', data: `${this.context.current.id > 0}` };
  }
}

@Injectable({ scope: Scope.REQUEST })
class Mine {}

/** Is of no use on NestJS 11, with this library and without. */
@WebSocketGateway()
class ForeignGateway {
  constructor(readonly mine: Mine) {}
}

describeBefore('@nestjs/core', {
  version: '12.0.0',
  reason: 'NestJS makes a gateway that injects a session for each message since 12.',
})('a gateway that NestJS has one instance of', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createTestDatabase();
  });

  afterAll(() => database.drop());

  describe.each(adapters)('over $name', (adapter) => {
    it.each([InjectingGateway, IndirectGateway, RequestGateway])(
      'stops the start where it injects a session: %p',
      async (gateway) => {
        const start = startTestApp({
          databaseUrl: database.url,
          providers: [Notes, RequestNotes, gateway],
          configure: (app) => adapter.install(app),
        });

        await expect(start).rejects.toThrow(SessionSetupError);
        await expect(start).rejects.toThrow(
          `Gateway "${gateway.name}" injects a session, itself or through another provider, which makes it ` +
            'request-scoped. NestJS 11 has one instance of a gateway for all messages, and fills nothing in one that is ' +
            "request-scoped. Give SessionModule the option `injection: 'contextual'`, take the session from " +
            'SessionContext.current or an injected EntityManager there, or use NestJS 12.',
        );
      },
    );

    it.each(injections)('takes its session from the context, with %s injection', async (injection) => {
      const { app, url } = await startTestApp({
        databaseUrl: database.url,
        session: { injection },
        providers: [ContextGateway, Mine, ForeignGateway],
        configure: (application) => adapter.install(application),
      });
      const client = await adapter.connect(url);

      client.send('ask', {});

      expect((await client.next()).data).toBe('true');
      client.disconnect();
      await app.close();
    });
  });
});
