import 'reflect-metadata';

import type { ModulesContainer } from '@nestjs/core';

import { SessionSetupError } from '../session/session-error.js';
import type { SessionScopes } from './session-scopes.js';

const PLACE = 'nestjs-mikro-session:place';

/**
 * A provider that opens scopes for code which another package calls: the consumer of a broker, a bot, a file watcher.
 * This package supports `@nestjs/schedule` and others in the same way.
 */
export interface SessionPlace {
  /**
   * Wraps the calls of that code, so that each call runs in a scope. It is called once, when all providers exist, and
   * before any `onModuleInit()`, because many packages begin their calls there.
   */
  install(scopes: SessionScopes): void;
}

/**
 * Decorates the class of a SessionPlace. The class must be a singleton, listed in the `providers` of any module.
 *
 * @example
 * @Injectable()
 * @SessionPlace()
 * class InboxPlace implements SessionPlace {
 *   constructor(private readonly inbox: Inbox) {}
 *
 *   install(scopes: SessionScopes): void {
 *     this.inbox.wrap((deliver) => (mail) => scopes.run({ kind: 'message', label: `mail ${mail.id}` }, () => deliver(mail)));
 *   }
 * }
 */
export function SessionPlace(): (target: new (...args: never[]) => SessionPlace) => void {
  return (target) => Reflect.defineMetadata(PLACE, true, target);
}

/**
 * Finds the SessionPlaces among the providers of an application.
 *
 * @throws {SessionSetupError} for a SessionPlace that is request-scoped
 */
export function findSessionPlaces(modules: ModulesContainer): Set<SessionPlace> {
  const found = new Set<SessionPlace>();
  for (const { providers } of modules.values()) {
    for (const wrapper of providers.values()) {
      if (!isPlace(wrapper.metatype) && !isPlace((wrapper.instance as object | null | undefined)?.constructor)) {
        continue;
      }
      if (!wrapper.isDependencyTreeStatic()) {
        throw new SessionSetupError(
          `"${wrapper.name}" has @SessionPlace(), but is request-scoped, because it injects a request-scoped provider. ` +
            'Inject only singletons there.',
        );
      }
      found.add(wrapper.instance as SessionPlace);
    }
  }
  return found;
}

function isPlace(type: unknown): boolean {
  return typeof type === 'function' && Reflect.hasMetadata(PLACE, type);
}
