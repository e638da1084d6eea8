import 'reflect-metadata';

import { Entity, PrimaryKey } from '@mikro-orm/decorators/legacy';
import { MikroOrmModule } from '@mikro-orm/nestjs';
import { type EntityManager, PostgreSqlDriver } from '@mikro-orm/postgresql';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { InjectSession, JobService, SessionModule } from 'nestjs-mikro-session';

@Entity()
class Thing {
  @PrimaryKey({ type: 'integer' })
  id!: number;
}

@Injectable()
class SquareWorker {
  @InjectSession() private readonly session!: EntityManager;

  handle(input: number): { square: number; session: number } {
    return { square: input * input, session: this.session.id };
  }
}

// No SQL is sent, so that no server is needed: what is shown is that the package finds its peers and works with them.
@Module({
  imports: [
    MikroOrmModule.forRoot({ driver: PostgreSqlDriver, dbName: 'none', entities: [Thing] }),
    SessionModule.forRoot({
      jobs: { transaction: 'none' },
      threads: { application: new URL('./thread-application.js', import.meta.url) },
    }),
  ],
  providers: [SquareWorker],
})
class AppModule {}

const app = await NestFactory.createApplicationContext(AppModule, { logger: false });
const results = await app.get(JobService).map([1, 2, 3], SquareWorker);
const refusal: unknown = await app.get(JobService).map([1], SquareWorker, { threads: 1 }).catch(String);
await app.close();

const squares = results.map(({ square }) => square).join(' ');
const sessions = new Set(results.map(({ session }) => session)).size;
if (squares !== '1 4 9' || sessions !== 3) {
  throw new Error(`Expected three squares from three sessions, got ${squares} from ${sessions}.`);
}

// The package that runs threads is not there, and says so to those who want it.
if (!String(refusal).includes('npm install piscina')) {
  throw new Error(`Expected to be told what to install, got ${String(refusal)}.`);
}
