import 'reflect-metadata';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import { PostgreSqlDriver } from '@mikro-orm/postgresql';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { SessionModule } from 'nestjs-mikro-session';

import { NoteSchema } from './note.js';
import { SquareWorker } from './square.worker.js';

class ThreadModule {}

export default (): Promise<INestApplicationContext> =>
  NestFactory.createApplicationContext(
    {
      module: ThreadModule,
      imports: [
        MikroOrmModule.forRoot({
          driver: PostgreSqlDriver,
          clientUrl: process.env['DATABASE_URL'] ?? '',
          entities: [NoteSchema],
          pool: { min: 0, max: 5 },
        }),
        SessionModule.forRoot(),
      ],
      providers: [SquareWorker],
    },
    { logger: ['error', 'warn'], abortOnError: false },
  );
