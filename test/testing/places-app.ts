import type { EntityManager } from '@mikro-orm/postgresql';
import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import { BullModule, getQueueToken } from '@nestjs/bullmq';
import type { INestMicroservice } from '@nestjs/common';
import { EventEmitter2, EventEmitterModule } from '@nestjs/event-emitter';
import { GraphQLModule } from '@nestjs/graphql';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { ScheduleModule, SchedulerRegistry } from '@nestjs/schedule';
import type { Queue } from 'bullmq';
import { JobService, SessionFactory } from 'nestjs-mikro-session';
import { JobQueue, JobQueueModule } from 'nestjs-mikro-session/pg-boss';
import { SessionTesting } from 'nestjs-mikro-session/testing';
import { lastValueFrom } from 'rxjs';

import { type Backend, useBackend } from '../background/queue-backends.js';
import { ws } from '../messages/support/gateway-adapters.js';
import { tcp } from '../messages/support/rpc-transports.js';
import { startTestApp, type TestApp, type TestAppOptions } from '../support/test-app.js';
import { Desk, Housekeeper, type Place, placesProviders, RequestsAndMessages } from './places.js';

export interface PlacesApp extends TestApp {
  readonly testing: SessionTesting<EntityManager>;
  /** Runs what the desk works in a place. Rejects when it fails there. */
  readonly call: Readonly<Record<Place, (text: string) => Promise<string>>>;
  close(): Promise<void>;
}

/** Starts an application that has all places. */
export async function startPlacesApp(options: TestAppOptions, backend: Backend): Promise<PlacesApp> {
  const bull = useBackend(backend, options.databaseUrl);
  const server = await tcp.makeServer();
  const app = await startTestApp({
    ...options,
    orm: { schemaGenerator: { ignoreSchema: ['bullmq', 'pgboss'] } },
    imports: [
      GraphQLModule.forRoot<ApolloDriverConfig>({ driver: ApolloDriver, autoSchemaFile: true, graphiql: false }),
      EventEmitterModule.forRoot(),
      ScheduleModule.forRoot(),
      BullModule.forRoot(bull.options),
      BullModule.registerQueue({ name: 'of-places' }),
      JobQueueModule.forRoot({ work: false }),
    ],
    controllers: [RequestsAndMessages],
    providers: placesProviders,
    configure: (nest) => {
      ws.install(nest);
      nest.connectMicroservice<MicroserviceOptions>(server);
    },
  });
  await app.app.startAllMicroservices();
  const messages = tcp.makeClient(app.app.getMicroservices()[0] as INestMicroservice, server);
  const testing = await SessionTesting.create<EntityManager>(app.app);
  const [desk, housekeeper, queue] = [
    app.get<Desk>(Desk),
    app.get<Housekeeper>(Housekeeper),
    app.get<Queue>(getQueueToken('of-places')),
  ];
  const factory = app.get<SessionFactory<EntityManager>>(SessionFactory);

  return {
    ...app,
    testing,
    call: {
      request: async (text) => {
        const response = await fetch(`${app.url}/places/${text}`, { method: 'POST' });
        return response.ok ? response.text() : Promise.reject(new Error(await response.text()));
      },
      message: (text) => lastValueFrom(messages.send<string>('places', text)),
      'message of a gateway': async (text) => {
        const client = await ws.connect(app.url);
        client.send('places', text);
        const { event, data } = await client.next();
        client.disconnect();
        return event === 'answer' ? String(data) : Promise.reject(new Error(JSON.stringify(data)));
      },
      'operation of GraphQL': async (text) => {
        const body = JSON.stringify({ query: `mutation { work(text: "${text}") }` });
        const headers = { 'content-type': 'application/json' };
        const response = await fetch(`${app.url}/graphql`, { method: 'POST', headers, body });
        const { data, errors } = (await response.json()) as { data?: { work: string }; errors?: unknown };
        return data?.work ?? Promise.reject(new Error(JSON.stringify(errors)));
      },
      listener: async (text) => String((await app.get<EventEmitter2>(EventEmitter2).emitAsync('places', { text }))[0]),
      tick: (text) => {
        housekeeper.tick = { text, ended: Promise.withResolvers<string>() };
        void app.get<SchedulerRegistry>(SchedulerRegistry).getCronJob('places').fireOnTick();
        return housekeeper.tick.ended.promise;
      },
      'job of BullMQ': async (text) => {
        const end = await bull.end(await queue.add('work', { text }));
        return 'threw' in end ? Promise.reject(new Error(end.threw)) : String(end.returned);
      },
      job: async (text) => {
        const [result] = await app
          .get<JobService<EntityManager>>(JobService)
          .map([text], (session) => desk.work(session, text));
        return String(result);
      },
      'durable job': async (text) => {
        await testing.run(() => app.get<JobQueue>(JobQueue).send('of-places', text));
        const { attempts } = await testing.drain('of-places');
        const [attempt] = attempts;
        return attempt?.status === 'fulfilled'
          ? String(attempt.value)
          : Promise.reject(new Error('failed', { cause: attempt?.reason }));
      },
      'begin() block': (text) => factory.begin((session) => desk.work(session, text)),
      'run() block': (text) => factory.run((session) => desk.work(session, text)),
      'method with a session': (text) => housekeeper.onCall(text),
    },
    close: async () => {
      await queue.obliterate({ force: true });
      await messages.close();
      await app.app.close();
    },
  };
}
