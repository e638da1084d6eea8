import { Inject, Module, type OnModuleInit } from '@nestjs/common';
import { ModuleRef, ModulesContainer } from '@nestjs/core';

import { checkSeam, type Seam } from '../../session/assert-seam.js';
import { TaskScopes } from '../../session/scope/task-scopes.js';
import { BULL_EXPLORER, type BullExplorer, scopeJobs } from './bullmq-jobs.js';
import { EVENT_BUS, type EventBus, scopeEvents } from './cqrs-events.js';
import { EVENT_SUBSCRIBERS_LOADER, type EventSubscribersLoader, scopeListeners } from './event-listeners.js';
import { findInstances } from '../known-class.js';
import { RABBITMQ_MODULE, type RabbitMqModule, scopeRabbitHandlers } from './rabbitmq-handlers.js';
import { SCHEDULE_EXPLORER, type ScheduleExplorer, scopeTicks } from './schedule-ticks.js';

const DISTANCE: Seam = {
  seam: 'nestjs/module-distance',
  of: '@nestjs/core',
  loss: 'No sessions are opened for ticks, events, jobs of BullMQ and messages of @golevelup/nestjs-rabbitmq',
  remedy: 'Open one in each with @InSession()',
};

/** Gives a session to what @nestjs/bullmq, @nestjs/schedule and others run, where they are used. */
@Module({})
export class TaskHooksModule implements OnModuleInit {
  readonly #modules: ModulesContainer;
  readonly #scopes: TaskScopes;
  readonly #moduleRef: ModuleRef;

  constructor(
    @Inject(ModulesContainer) modules: ModulesContainer,
    @Inject(TaskScopes) scopes: TaskScopes,
    @Inject(ModuleRef) moduleRef: ModuleRef,
  ) {
    this.#modules = modules;
    this.#scopes = scopes;
    this.#moduleRef = moduleRef;
    for (const module of modules.values()) {
      if (module.metatype === TaskHooksModule) {
        // Seam: nestjs/module-distance
        checkSeam(module, ['distance'], DISTANCE);
        // The farthest module is initialised first: before those packages look for what they are to run.
        module.distance = Infinity;
      }
    }
  }

  onModuleInit(): void {
    for (const explorer of findInstances<BullExplorer>(this.#modules, BULL_EXPLORER)) {
      scopeJobs(explorer, this.#scopes);
    }
    for (const explorer of findInstances<ScheduleExplorer>(this.#modules, SCHEDULE_EXPLORER)) {
      scopeTicks(explorer, this.#scopes);
    }
    for (const loader of findInstances<EventSubscribersLoader>(this.#modules, EVENT_SUBSCRIBERS_LOADER)) {
      scopeListeners(loader, this.#scopes);
    }
    for (const rabbit of findInstances<RabbitMqModule>(this.#modules, RABBITMQ_MODULE)) {
      scopeRabbitHandlers(rabbit, this.#scopes, this.#moduleRef);
    }
    for (const bus of findInstances<EventBus>(this.#modules, EVENT_BUS)) {
      scopeEvents(bus, this.#scopes);
    }
  }
}
