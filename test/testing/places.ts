import { EntityManager } from '@mikro-orm/postgresql';
import { Processor, WorkerHost } from '@nestjs/bullmq';
import { Controller, Injectable, Param, Post } from '@nestjs/common';
import { OnEvent } from '@nestjs/event-emitter';
import { Args, Mutation, Query, Resolver } from '@nestjs/graphql';
import { MessagePattern, Payload } from '@nestjs/microservices';
import { Cron, CronExpression } from '@nestjs/schedule';
import { MessageBody, SubscribeMessage, WebSocketGateway, type WsResponse } from '@nestjs/websockets';
import type { Job } from 'bullmq';
import { InjectSession, InSession, type JobWorker, SessionContext } from 'nestjs-mikro-session';
import { JobHandler } from 'nestjs-mikro-session/pg-boss';

import { GATEWAYS_PER_MESSAGE } from '../messages/support/gateways-that-inject.js';
import { isSince } from '../support/since.js';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    'of-places': string;
  }
}

const all = [
  'request',
  'message',
  'message of a gateway',
  'operation of GraphQL',
  'listener',
  'tick',
  'job of BullMQ',
  'job',
  'durable job',
  'begin() block',
  'run() block',
  'method with a session',
] as const;

export type Place = (typeof all)[number];

const hasGateways = isSince('@nestjs/core', { ...GATEWAYS_PER_MESSAGE, what: 'message of a gateway' });

/** Where NestJS runs code. */
export const places: readonly Place[] = all.filter((place) => hasGateways || place !== 'message of a gateway');

/** What a place does with its session: each test decides. */
@Injectable()
export class Desk {
  work: (session: EntityManager, text: string) => Promise<string> = async (_session, text) => text;
}

/** For the places that are made anew with each request, when a session is injected into them. */
@Injectable()
class Clerk {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly desk: Desk,
  ) {}

  work(text: string): Promise<string> {
    return this.desk.work(this.session, text);
  }
}

/** For those that are singletons. */
@Injectable()
class Caretaker {
  constructor(
    private readonly context: SessionContext<EntityManager>,
    private readonly desk: Desk,
  ) {}

  work(text: string): Promise<string> {
    return this.desk.work(this.context.current, text);
  }
}

@Controller('places')
export class RequestsAndMessages {
  constructor(private readonly clerk: Clerk) {}

  @Post(':text')
  onRequest(@Param('text') text: string): Promise<string> {
    return this.clerk.work(text);
  }

  @MessagePattern('places')
  onMessage(@Payload() text: string): Promise<string> {
    return this.clerk.work(text);
  }
}

@WebSocketGateway()
class PlacesGateway {
  constructor(private readonly clerk: Clerk) {}

  @SubscribeMessage('places')
  async onMessage(@MessageBody() text: string): Promise<WsResponse<string>> {
    return { event: 'answer', data: await this.clerk.work(text) };
  }
}

@Resolver()
class PlacesResolver {
  constructor(private readonly clerk: Clerk) {}

  /** GraphQL is not without one. */
  @Query(() => String)
  nothing(): string {
    return '';
  }

  @Mutation(() => String)
  work(@Args('text') text: string): Promise<string> {
    return this.clerk.work(text);
  }
}

@Injectable()
export class Housekeeper {
  /** Nobody awaits a tick. */
  tick = { text: '', ended: Promise.withResolvers<string>() };

  constructor(private readonly caretaker: Caretaker) {}

  @OnEvent('places', { suppressErrors: false })
  onEvent({ text }: { readonly text: string }): Promise<string> {
    return this.caretaker.work(text);
  }

  @Cron(CronExpression.EVERY_YEAR, { name: 'places', disabled: true })
  async onTick(): Promise<void> {
    const { text, ended } = this.tick;
    const work = this.caretaker.work(text);
    ended.resolve(work);
    await work;
  }

  @InSession()
  onCall(text: string): Promise<string> {
    return this.caretaker.work(text);
  }
}

@Processor('of-places')
class PlacesProcessor extends WorkerHost {
  constructor(private readonly caretaker: Caretaker) {
    super();
  }

  async process({ data }: Job<{ readonly text: string }>, _token?: string, _signal?: AbortSignal): Promise<string> {
    return this.caretaker.work(data.text);
  }
}

@Injectable()
@JobHandler({ queue: 'of-places', retryLimit: 0 })
class PlacesHandler implements JobWorker<string, string> {
  constructor(private readonly clerk: Clerk) {}

  handle(text: string): Promise<string> {
    return this.clerk.work(text);
  }
}

/** The providers of an application that has all places, beside its controller. */
export const placesProviders = [
  Desk,
  Clerk,
  Caretaker,
  Housekeeper,
  ...(hasGateways ? [PlacesGateway] : []),
  PlacesResolver,
  PlacesProcessor,
  PlacesHandler,
];
