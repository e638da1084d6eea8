import { type InjectionToken, Scope, type Type } from '@nestjs/common';
import { ContextIdFactory, type ModuleRef, ModulesContainer } from '@nestjs/core';

import { checkSeam, type Seam } from '../../session/assert-seam.js';
import type { UpstreamClass } from '../upstream-class.js';
import type { SessionScopes } from '../session-scopes.js';

type Handler = (data: unknown, message: RabbitMessage, headers: unknown) => Promise<unknown>;
type Create = (instance: object, method: unknown, name: string, ...rest: unknown[]) => Handler;

interface RabbitMessage {
  readonly fields?: { readonly exchange?: string; readonly routingKey?: string };
}

/** The members that are used here of the module that registers the handlers of @golevelup/nestjs-rabbitmq. */
export interface RabbitMqModule {
  externalContextCreator: { create: Create };
}

// Seam: golevelup/rabbitmq
export const RABBITMQ_MODULE: UpstreamClass = {
  seam: 'golevelup/rabbitmq',
  of: '@golevelup/nestjs-rabbitmq',
  className: 'RabbitMQModule',
  methods: ['setupHandler', 'onApplicationBootstrap'],
  what: 'the messages of @golevelup/nestjs-rabbitmq',
};

const CREATOR: Seam = {
  seam: RABBITMQ_MODULE.seam,
  of: RABBITMQ_MODULE.of,
  loss: `No sessions are opened for ${RABBITMQ_MODULE.what}`,
  remedy: 'Open one in each with @InSession()',
};

/** The position of the context id in the arguments after the name of the method. */
const CONTEXT_ID = 2;

/**
 * Opens a scope around all the work on a message, with guards and interceptors. A handler with a request-scoped class
 * is created inside the scope: the package itself would call it on an object without injected providers.
 */
export function scopeRabbitHandlers(rabbit: RabbitMqModule, scopes: SessionScopes, moduleRef: ModuleRef): void {
  const creator = rabbit.externalContextCreator as RabbitMqModule['externalContextCreator'] | undefined;
  // Seam: golevelup/rabbitmq
  if (!checkSeam(creator, ['create'], CREATOR) || creator === undefined) {
    return;
  }
  const create: Create = (instance, method, name, ...rest) => {
    const className = instance.constructor.name;
    const token = tokenOf(instance);
    const handle = isStatic(moduleRef, token as Type)
      ? creator.create(instance, method, name, ...rest)
      : handleAnew(token, name, rest);
    return (data, message, headers) => {
      const { exchange, routingKey } = describe(message);
      const label = `message "${routingKey}" in ${className}.${name}`;
      const origin = { exchange, routingKey, data, message };
      return scopes.run({ kind: 'message', label, origin }, async () => handle(data, message, headers));
    };
  };
  rabbit.externalContextCreator = Object.assign(Object.create(creator) as typeof creator, { create });

  /** A provider may have another token than its class. */
  function tokenOf(instance: object): InjectionToken {
    const modules = [...moduleRef.get(ModulesContainer, { strict: false }).values()];
    const providers = modules.flatMap((module) => [...module.providers.values(), ...module.controllers.values()]);
    return providers.find((provider) => provider.instance === instance)?.token ?? (instance.constructor as Type);
  }

  function handleAnew(token: InjectionToken, name: string, rest: readonly unknown[]): Handler {
    return async (data, message, headers) => {
      const contextId = ContextIdFactory.create();
      moduleRef.registerRequestByContextId(message, contextId);
      const instance: object = await moduleRef.resolve(token as Type, contextId, { strict: false });
      const handle = creator?.create(
        instance,
        (instance as Readonly<Record<string, unknown>>)[name],
        name,
        ...rest.with(CONTEXT_ID, contextId),
      );
      return handle?.(data, message, headers);
    };
  }
}

function isStatic(moduleRef: ModuleRef, token: Type): boolean {
  return moduleRef.introspect(token).scope === Scope.DEFAULT;
}

/** A batch is described by its first message. */
function describe(message: RabbitMessage | readonly RabbitMessage[]): NonNullable<RabbitMessage['fields']> {
  const first = Array.isArray(message) ? (message[0] as RabbitMessage | undefined) : (message as RabbitMessage);
  return first?.fields ?? {};
}
