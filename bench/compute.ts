import type { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { InjectSession, type JobWorker } from 'nestjs-mikro-session';

import { factorise } from '../src/runs/factorise.ts';
import { Item } from './applications.ts';

/** Factorises a number and stores how many factors it has. */
export class ComputeWorker implements JobWorker<number, void> {
  readonly #session: EntityManager;

  constructor(session: EntityManager) {
    this.#session = session;
  }

  handle(number: number): void {
    this.#session.create(Item, { value: factorise(number).length });
  }
}
Reflect.decorate([Injectable()], ComputeWorker);
InjectSession()(ComputeWorker, undefined, 0);
