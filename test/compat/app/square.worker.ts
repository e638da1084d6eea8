import type { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { InjectSession, type JobWorker } from 'nestjs-mikro-session';

export interface Square {
  readonly square: number;
  readonly session: number;
}

@Injectable()
export class SquareWorker implements JobWorker<number, Square> {
  @InjectSession() private readonly session!: EntityManager;

  async handle(input: number): Promise<Square> {
    const [row] = await this.session.execute<{ square: number }[]>(`select ${input} * ${input} as square`);
    return { square: row?.square ?? 0, session: this.session.id };
  }
}
