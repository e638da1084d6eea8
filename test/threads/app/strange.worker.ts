import { inspect } from 'node:util';

import type { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { InjectSession, type JobWorker } from 'nestjs-mikro-session';

import { Note } from '../../support/note.entity.js';
import { withoutStacks } from '../../support/without-stacks.js';

const DEEP = 50_000;

function refuse(): never {
  throw new Error('nobody may look');
}

function withGetters(): Error {
  const error = new Error('hidden');
  for (const name of ['message', 'stack', 'cause', 'code', 'name', 'errors', 'extra']) {
    Object.defineProperty(error, name, { get: refuse, enumerable: true });
  }
  return error;
}

function deep(make: (cause: unknown) => unknown): unknown {
  return withoutStacks(() => {
    let error: unknown = new Error('the first');
    for (let depth = 0; depth < DEEP; depth += 1) {
      error = make(error);
    }
    return error;
  });
}

/** An error whose cause is a new one, each time it is asked for. */
function endless(): Error {
  return Object.defineProperty(new Error('endless'), 'cause', { get: endless });
}

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable(new Error('gone'), {});
  revoke();
  return proxy;
}

const traps: ProxyHandler<Error> = { get: refuse, getPrototypeOf: refuse, has: refuse, ownKeys: refuse };

/** What a job may throw, and what its reason says outside of the thread. */
export const strangers: Readonly<Record<string, readonly [make: (session: EntityManager) => unknown, says: RegExp]>> = {
  'an error that holds its session': [(em) => Object.assign(new Error('held'), { em }), /^Error: held/],
  'an error whose cause holds its session': [
    (em) => new Error('held by cause', { cause: Object.assign(new Error('cause'), { em }) }),
    /^Error: held by cause/,
  ],
  'an object that holds its session': [(em) => ({ em }), /./],
  'its session': [(em) => em, /./],
  'an entity': [(em) => em.create(Note, { text: 'thrown' }), /./],
  'an error whose getters throw': [withGetters, /^Error$/],
  'an error whose inspection throws': [
    () => Object.assign(new Error('x'), { [inspect.custom]: refuse, inside: { [inspect.custom]: refuse } }),
    /^Error: x/,
  ],
  'an object whose toString throws': [() => ({ toString: refuse, toJSON: refuse, [Symbol.toPrimitive]: refuse }), /./],
  'an error with a very long chain of causes': [() => deep((cause) => new Error('next', { cause })), /^Error: next/],
  'an error of errors, very deep': [() => deep((error) => new AggregateError([error], 'of one')), /^AggregateError/],
  'an object that is very deep': [() => deep((inner) => ({ inner })), /./],
  'an error whose causes never end': [endless, /^Error: endless/],
  'a revoked Proxy': [revoked, /Proxy/],
  'an error with a revoked Proxy in it': [() => Object.assign(new Error('y'), { inside: revoked() }), /^Error: y/],
  'a Proxy whose traps throw': [() => new Proxy(new Error('trap'), traps), /./],
  'a function': [() => refuse, /refuse/],
  'a symbol': [() => Symbol('thrown'), /thrown/],
  'a promise that is rejected': [() => Promise.reject(new Error('nobody catches this')), /./],
  'an error that holds a channel': [() => Object.assign(new Error('z'), { port: new MessageChannel() }), /z/],
  nothing: [() => undefined, /^undefined$/],
};

/** Writes a note, and throws what it is told to. */
@Injectable()
export class StrangeWorker implements JobWorker<string, string> {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  async handle(text: string): Promise<string> {
    await this.session.insert(Note, { text });
    const stranger = strangers[text];
    if (stranger === undefined) {
      return text;
    }
    const [make] = stranger;
    throw make(this.session);
  }
}
