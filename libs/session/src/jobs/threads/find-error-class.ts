import * as mikroOrm from '@mikro-orm/core';
import * as nest from '@nestjs/common';

import * as sessionErrors from '../../session/session-error.js';
import * as jobErrors from '../job-error.js';

interface ErrorClass {
  readonly name: string;
  readonly prototype: Error;
}

const builtIn = [Error, AggregateError, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError];

const byName: ReadonlyMap<string, ErrorClass> = new Map(
  [builtIn, nest, mikroOrm, sessionErrors, jobErrors]
    .flatMap((exported) => Object.values(exported) as unknown[])
    .filter(isErrorClass)
    .map((known) => [known.name, known]),
);

const names: ReadonlyMap<object, string> = new Map([...byName].map(([name, { prototype }]) => [prototype, name]));

/**
 * Returns the name of the nearest class of an error that both threads know: a class of JavaScript, NestJS, MikroORM or
 * this library.
 */
export function nameErrorClass(error: object): string {
  for (let prototype: unknown = error; isObject(prototype); prototype = Object.getPrototypeOf(prototype)) {
    const name = names.get(prototype);
    if (name !== undefined) {
      return name;
    }
  }
  return Error.name;
}

export function findErrorClass(name: string): ErrorClass {
  return byName.get(name) ?? Error;
}

function isErrorClass(value: unknown): value is ErrorClass {
  return typeof value === 'function' && (value === Error || value.prototype instanceof Error);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
