import { Inject, Module, type OnModuleInit } from '@nestjs/common';
import { ModuleRef, ModulesContainer } from '@nestjs/core';

import { checkSeam, type Seam } from '../../session/assert-seam.js';
import { TaskScopes } from '../../session/scope/task-scopes.js';
import { BULL_EXPLORER, type BullExplorer, scopeBullmqJobs } from './scope-bullmq-jobs.js';
import { EVENT_BUS, type EventBus, scopeCqrsEvents } from './scope-cqrs-events.js';
import { EVENT_SUBSCRIBERS_LOADER, type EventSubscribersLoader, scopeListeners } from './scope-listeners.js';
import { findSessionPlaces, type SessionPlace } from '../session-place.js';
import { SessionScopes } from '../session-scopes.js';
import { KnownPlace } from './known-place.js';
import { RABBITMQ_MODULE, type RabbitMqModule, scopeRabbitHandlers } from './scope-rabbit-handlers.js';
import { SCHEDULE_EXPLORER, type ScheduleExplorer, scopeTicks } from './scope-ticks.js';

const DISTANCE: Seam = {
  seam: 'nestjs/module-distance',
  of: '@nestjs/core',
  loss: 'No sessions are opened for ticks, events, jobs of BullMQ and messages of @golevelup/nestjs-rabbitmq',
  remedy: 'Open one in each with @InSession()',
};

/**
 * Opens scopes for the code that @nestjs/bullmq, @nestjs/schedule and others run, and for the SessionPlaces of the
 * application.
 */
@Module({})
export class TaskHooksModule implements OnModuleInit {
  readonly #modules: ModulesContainer;
  readonly #scopes: SessionScopes;
  readonly #knownPlaces: readonly SessionPlace[];

  constructor(
    @Inject(ModulesContainer) modules: ModulesContainer,
    @Inject(TaskScopes) scopes: TaskScopes,
    @Inject(ModuleRef) moduleRef: ModuleRef,
  ) {
    this.#modules = modules;
    this.#scopes = new SessionScopes(scopes);
    this.#knownPlaces = [
      new KnownPlace<BullExplorer>(modules, BULL_EXPLORER, scopeBullmqJobs),
      new KnownPlace<ScheduleExplorer>(modules, SCHEDULE_EXPLORER, scopeTicks),
      new KnownPlace<EventSubscribersLoader>(modules, EVENT_SUBSCRIBERS_LOADER, scopeListeners),
      new KnownPlace<RabbitMqModule>(modules, RABBITMQ_MODULE, (rabbit, own) =>
        scopeRabbitHandlers(rabbit, own, moduleRef),
      ),
      new KnownPlace<EventBus>(modules, EVENT_BUS, scopeCqrsEvents),
    ];
    for (const module of modules.values()) {
      if (module.metatype === TaskHooksModule) {
        // Seam: nestjs/module-distance
        checkSeam(module, ['distance'], DISTANCE);
        // NestJS initialises the module with the largest distance first. So this module comes before those packages
        // look for the code that they run.
        module.distance = Infinity;
      }
    }
  }

  onModuleInit(): void {
    for (const place of [...this.#knownPlaces, ...findSessionPlaces(this.#modules)]) {
      place.install(this.#scopes);
    }
  }
}
