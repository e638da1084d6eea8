import 'reflect-metadata';

import type { ModulesContainer } from '@nestjs/core';

import { SessionSetupError } from '../session/session-error.js';
import type { SessionScopes } from './session-scopes.js';

const PLACE = 'nestjs-mikro-session:place';

/**
 * A provider that gives sessions to code which something else runs: the consumer of a broker, a bot, a file watcher. Those
 * of this package for `@nestjs/schedule` and others are made the same way.
 */
export interface SessionPlace {
  /**
   * Wraps what calls that code, so that each call is in a scope. It is called once, when all providers are made and before
   * any `onModuleInit()`, in which many packages begin to call.
   */
  install(scopes: SessionScopes): void;
}

/**
 * Decorates the class of a SessionPlace, which is listed in the `providers` of any module and is a singleton.
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
 * Finds the places of an application, which are providers of any module.
 *
 * @throws {SessionSetupError} for one that is made for each request
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
          `"${wrapper.name}" has @SessionPlace(), but is made for each request, as what it injects is. Inject providers ` +
            'there that are made once.',
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
