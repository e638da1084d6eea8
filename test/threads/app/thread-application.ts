import { MikroOrmModule } from '@mikro-orm/nestjs';
import { type INestApplicationContext, Injectable, Module, type OnModuleDestroy } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { SessionFactory, SessionModule, type ThreadApplication } from 'nestjs-mikro-session';

import { loadDriver, placeOf } from '../../support/load-driver.js';
import { Note } from '../../support/note.entity.js';
import { FateChunkWorker, FateWorker } from './fate.workers.js';
import { StrangeWorker } from './strange.worker.js';
import { LockWorker, NestingWorker, SignalWorker, TroubleWorker, WhereWorker, WriteWorker } from './thread.workers.js';
import { twins } from './twins.js';

export const workers = [
  FateWorker,
  FateChunkWorker,
  WhereWorker,
  StrangeWorker,
  LockWorker,
  SignalWorker,
  TroubleWorker,
  NestingWorker,
  WriteWorker,
];

/** Leaves a note at its end. */
@Injectable()
class Farewell implements OnModuleDestroy {
  constructor(private readonly sessions: SessionFactory) {}

  async onModuleDestroy(): Promise<void> {
    await this.sessions.begin((session) => void session.create(Note, { text: 'farewell' }));
  }
}

@Module({})
class ThreadModule {}

export interface ThreadData {
  readonly databaseUrl: string;
  /** Why the application does not start. */
  readonly failure?: string;
  /** Whether it leaves a note when it is closed. */
  readonly saysFarewell?: boolean;
}

const createApplication: ThreadApplication<ThreadData> = async ({
  databaseUrl,
  failure,
  saysFarewell = false,
}): Promise<INestApplicationContext> => {
  if (failure !== undefined) {
    throw new RangeError(failure);
  }
  const { driver } = await loadDriver(databaseUrl);
  const orm = { driver, ...placeOf(databaseUrl), entities: [Note], pool: { min: 0, max: 5 } };
  const imports = [MikroOrmModule.forRoot({ ...orm, logger: () => undefined }), SessionModule.forRoot()];
  const module = {
    module: ThreadModule,
    imports,
    providers: [...workers, ...twins, ...(saysFarewell ? [Farewell] : [])],
  };
  return NestFactory.createApplicationContext(module, { logger: ['error', 'warn'], abortOnError: false });
};

export default createApplication;
