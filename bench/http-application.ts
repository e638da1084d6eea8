import { EntityManager } from '@mikro-orm/postgresql';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import {
  Controller,
  Get,
  Inject,
  Injectable,
  type INestApplication,
  type InjectionToken,
  Module,
  type ModuleMetadata,
  Scope,
  type Type,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { getSessionToken, SessionModule } from 'nestjs-mikro-session';

import { Item, options } from './applications.ts';

/** What injects an EntityManager, and how. */
export type Setup = 'none' | 'contextual' | 'request' | 'middleware' | 'middleware scope: REQUEST';

type Decorator = ClassDecorator | MethodDecorator | ParameterDecorator;

/** Node runs the benchmark without a compiler, and so without decorators. */
function decorate(
  target: Type,
  decorators: readonly ClassDecorator[],
  parameters: readonly InjectionToken[] = [],
): void {
  parameters.forEach((token, index) => (Inject(token) as ParameterDecorator)(target, undefined, index));
  Reflect.decorate([...decorators], target);
}

function route(target: Type, method: string, decorator: Decorator): void {
  const { prototype } = target as { readonly prototype: object };
  (decorator as MethodDecorator)(prototype, method, Object.getOwnPropertyDescriptor(prototype, method) ?? {});
}

/** An application of three providers, the last of which has the EntityManager, and a route for each use of it. */
function createRoot(token: InjectionToken | undefined, imports: ModuleMetadata['imports']): Type {
  class Items {
    readonly em: EntityManager;

    constructor(em: EntityManager) {
      this.em = em;
    }
  }
  class ItemService {
    readonly items: Items;

    constructor(items: Items) {
      this.items = items;
    }
  }
  class ItemController {
    readonly #service: ItemService;

    constructor(service: ItemService) {
      this.#service = service;
    }

    untouched(): string {
      return 'ok';
    }

    used(): string {
      return String(this.#service.items.em.getReference(Item, 1).id);
    }

    async query(): Promise<string> {
      return String((await this.#service.items.em.findOneOrFail(Item, 1)).value);
    }
  }
  class Root {}
  decorate(Items, [Injectable()], token === undefined ? [] : [token]);
  decorate(ItemService, [Injectable()], [Items]);
  decorate(ItemController, [Controller()], [ItemService]);
  for (const path of ['untouched', 'used', 'query']) {
    route(ItemController, path, Get(path));
  }
  decorate(Root, [Module({ imports: imports ?? [], providers: [Items, ItemService], controllers: [ItemController] })]);
  return Root;
}

function rootOf(setup: Setup, databaseUrl: string): Type {
  const orm = options(databaseUrl);
  switch (setup) {
    case 'none':
      return createRoot(undefined, []);
    case 'contextual':
    case 'request':
      return createRoot(getSessionToken(), [
        // As the README advises: the middleware has nothing left to do.
        MikroOrmModule.forRoot({ ...orm, registerRequestContext: false }),
        SessionModule.forRoot({ injection: setup }),
      ]);
    case 'middleware':
      return createRoot(EntityManager, [MikroOrmModule.forRoot(orm)]);
    case 'middleware scope: REQUEST':
      return createRoot(EntityManager, [MikroOrmModule.forRoot({ ...orm, scope: Scope.REQUEST })]);
  }
}

/** Starts the application on a free port, with one row in the table. */
export async function startHttp(setup: Setup, databaseUrl: string): Promise<INestApplication> {
  const app = await NestFactory.create(rootOf(setup, databaseUrl), { logger: false });
  await app.listen(0, '127.0.0.1');
  return app;
}
