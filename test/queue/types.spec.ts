import type { EntityManager } from '@mikro-orm/postgresql';
import type { JobContext, JobService } from 'nestjs-mikro-session';
import { JobHandler, type JobQueue, type QueueJobContext } from 'nestjs-mikro-session/pg-boss';

interface Order {
  readonly id: number;
}

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    lengths: string;
    ship: Order;
  }
}

@JobHandler({ queue: 'lengths', retryLimit: 3, chunkSize: 10 })
class Lengths {
  handle(input: string, _job: JobContext): number {
    return input.length;
  }
}

@JobHandler({ queue: 'lengths' })
class ManyLengths {
  handleMany(inputs: readonly string[]): number[] {
    return inputs.map(({ length }) => length);
  }
}

@JobHandler({ queue: 'ship' })
class Ship {
  handle(_order: Order, { id, queue }: QueueJobContext): string {
    return `${queue} ${id}`;
  }
}

// @ts-expect-error the queue holds strings
@JobHandler({ queue: 'lengths' })
class TakesNumbers {
  handle(_input: number): void {}
}

// @ts-expect-error the queue holds strings
@JobHandler({ queue: 'lengths' })
class TakesManyNumbers {
  handleMany(inputs: readonly number[]): readonly number[] {
    return inputs;
  }
}

// @ts-expect-error it has no handle()
@JobHandler({ queue: 'lengths' })
class HandlesNothing {
  work(_input: string): void {}
}

// @ts-expect-error nobody has told the compiler of this queue
@JobHandler({ queue: 'unheard-of' })
class Unheard {
  handle(_input: string): void {}
}

// @ts-expect-error how jobs are settled is not for the handler to say
@JobHandler({ queue: 'lengths', transactional: true })
class Settles {
  handle(_input: string): void {}
}

// Never called: the compiler is the test.
async function types(queue: JobQueue, jobs: JobService<EntityManager>): Promise<void> {
  await queue.send('lengths', 'a', { priority: 1, info: { tenant: 'a' } });
  await queue.sendMany('ship', [{ id: 1 }], ({ id }) => ({ singletonKey: `${id}` }));
  await queue.schedule('ship', '0 6 * * *', { id: 1 }, { tz: 'Europe/Berlin' });
  // The class that a queue takes, JobService takes too.
  await jobs.map(['a'], Lengths);

  // @ts-expect-error the queue holds strings
  await queue.send('lengths', 1);
  // @ts-expect-error the queue holds orders
  await queue.sendMany('ship', ['a']);
  // @ts-expect-error the queue holds orders
  await queue.schedule('ship', '0 6 * * *', 'a');
  // @ts-expect-error nobody has told the compiler of this queue
  await queue.send('unheard-of', 1);
  // @ts-expect-error nobody has told the compiler of this queue
  await queue.cancel('unheard-of', 'id');
  // @ts-expect-error the transaction is found by itself
  await queue.send('lengths', 'a', { db: undefined });
}

describe('the types of the queues', () => {
  it('are checked by the compiler', () => {
    const classes = [Lengths, ManyLengths, Ship, TakesNumbers, TakesManyNumbers, HandlesNothing, Unheard, Settles];

    expect([types, ...classes]).toEqual(Array(classes.length + 1).fill(expect.any(Function)));
  });
});
