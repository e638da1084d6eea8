import { Injectable, Module } from '@nestjs/common';
import { JobHandler, JobQueue, JobQueueModule } from 'nestjs-mikro-session/pg-boss';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    squares: number;
  }
}

@Injectable()
@JobHandler({ queue: 'squares' })
export class SquareHandler {
  handle(input: number): number {
    return input * input;
  }
}

@Injectable()
export class Sender {
  constructor(private readonly queue: JobQueue) {}

  send(input: number): Promise<string | null> {
    return this.queue.send('squares', input);
  }

  refused(): Promise<string | null> {
    // @ts-expect-error the queue holds numbers
    return this.queue.send('squares', 'seven');
  }
}

@Module({ imports: [JobQueueModule.forRoot()], providers: [SquareHandler, Sender] })
export class QueueModule {}
