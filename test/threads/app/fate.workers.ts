import { type EntityManager, UniqueConstraintViolationException } from '@mikro-orm/postgresql';
import { ConflictException, Injectable } from '@nestjs/common';
import { InjectSession, type JobChunkWorker, type JobContext, type JobWorker } from 'nestjs-mikro-session';

import { Note } from '../../support/note.entity.js';

export const fates = [
  'fine',
  'throws',
  'throws a text',
  'throws an error of many parts',
  'throws an error of HTTP',
  'throws after its flush',
  'is refused',
  'fails at commit',
  'swallows',
  'sleeps too long',
  'fails once',
] as const;

export interface Input {
  readonly key: number;
  readonly fate: (typeof fates)[number];
}

export interface Result {
  readonly text: string;
  readonly at: Date;
  readonly index: number;
  readonly attempt: number;
}

class OwnError extends RangeError {
  readonly details = { tries: 3, at: new Date(0) };
}

/** Meets the fate that its input names. */
async function meet(session: EntityManager, { key, fate }: Input, attempt: number): Promise<string> {
  const text = `${fate} ${key}`;
  switch (fate) {
    case 'throws':
      throw new TypeError(text);
    case 'throws a text':
      // oxlint-disable-next-line no-throw-literal, only-throw-error
      throw text;
    case 'throws an error of many parts':
      throw new AggregateError([new OwnError(text, { cause: new Error('inner') }), 'and a text'], text);
    case 'throws an error of HTTP':
      throw new ConflictException(text);
    case 'fails once':
      if (attempt === 1) {
        throw Object.assign(new Error(text), { code: '40001' });
      }
      break;
    case 'swallows':
      await session.execute('select 1 / 0').catch(() => undefined);
      break;
    case 'sleeps too long':
      await session.execute('select pg_sleep(60)');
      break;
    case 'fine':
    case 'throws after its flush':
    case 'is refused':
    case 'fails at commit':
  }
  session.create(Note, { text: fate === 'is refused' ? 'taken' : text });
  if (fate === 'throws after its flush') {
    await session.flush();
    throw new UniqueConstraintViolationException(Object.assign(new Error(text), { code: '23505' }));
  }
  return text;
}

@Injectable()
export class FateWorker implements JobWorker<Input, Result> {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  async handle(input: Input, { index, attempt }: JobContext): Promise<Result> {
    return { text: await meet(this.session, input, attempt), at: new Date(input.key), index, attempt };
  }
}

@Injectable()
export class FateChunkWorker implements JobChunkWorker<Input, Result> {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  async handleMany(inputs: readonly Input[], { attempt }: JobContext): Promise<Result[]> {
    const results: Result[] = [];
    for (const input of inputs) {
      const text = await meet(this.session, input, attempt);
      // Its place among the inputs would tell of chunks.
      results.push({ text, at: new Date(input.key), index: input.key, attempt });
    }
    return results;
  }
}
