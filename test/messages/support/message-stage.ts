import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { InjectSession, type Scope, SessionContext } from 'nestjs-mikro-session';

import { Note } from '../../support/note.entity.js';

/** Where a test and the handlers it calls meet. */
@Injectable()
export class Stage {
  arrived = Promise.withResolvers<Arrival>();
  goOn = Promise.withResolvers<void>();
  settled = Promise.withResolvers<unknown>();
  closed = Promise.withResolvers<void>();
  /** What handlers had to say, in order. */
  readonly said: Line[] = [];
  /** What was made for gateways. */
  readonly made: EntityManager[] = [];

  reset(): void {
    Object.assign(this, new Stage());
  }
}

interface Line {
  readonly name: string;
  readonly label: string;
  readonly session: number;
}

export interface Arrival {
  readonly session: EntityManager;
  readonly scope: Scope;
}

/** What handlers do in a test. */
@Injectable()
export class Actor {
  constructor(
    readonly stage: Stage,
    @InjectSession() readonly session: EntityManager,
    readonly context: SessionContext<EntityManager>,
  ) {}

  /** Leaves a transaction open. */
  async begin(): Promise<void> {
    this.context.onClose(() => this.stage.closed.resolve());
    this.stage.arrived.resolve({ session: this.context.current, scope: this.context.scope });
    await this.session.begin();
    this.session.create(Note, { text: 'never committed' });
    await this.session.flush();
  }

  /** Waits for the test, and uses the session then. */
  async waitAndUse(): Promise<unknown> {
    await this.stage.goOn.promise;
    const outcome = await this.session.count(Note, { text: 'never committed' }).catch((error: unknown) => error);
    this.stage.settled.resolve(outcome);
    return outcome;
  }

  /** Says which session and scope a handler has, when it begins and when it ends. */
  async say(name: string): Promise<void> {
    await this.session.begin();
    this.stage.said.push({ name, label: this.context.scope.label, session: this.session.id });
    this.session.create(Note, { text: name });
    await this.session.commit();
  }
}
