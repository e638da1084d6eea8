import { ClsPluginTransactional, type TransactionalAdapter, TransactionHost } from '@nestjs-cls/transactional';
import { TransactionalAdapterDrizzleOrm } from '@nestjs-cls/transactional-adapter-drizzle-orm';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import { integer, pgTable, serial } from 'drizzle-orm/pg-core';
import { ClsModule } from 'nestjs-cls';
import { Pool } from 'pg';

import { emptyTable, POOL_SIZE } from './applications.ts';
import { inLoops } from './by-hand.ts';
import type { Claim, Side } from './claim.ts';
import { insertInJobs, JOBS } from './in-jobs.ts';

const DRIZZLE = Symbol('drizzle');

/** The type of the adapter itself says `never` of its client under `exactOptionalPropertyTypes`. */
type Adapter = TransactionalAdapter<NodePgDatabase, NodePgDatabase, object>;

const items = pgTable('item', { id: serial().primaryKey(), value: integer().notNull() });

async function insert(host: TransactionHost<Adapter>, value: number): Promise<void> {
  await host.withTransaction(() => host.tx.insert(items).values({ value }).returning({ id: items.id }));
}

class DatabaseModule {}
class Root {}

async function insertInTransactions(databaseUrl: string): Promise<Side> {
  await emptyTable(databaseUrl);
  const pool = new Pool({ connectionString: databaseUrl, min: POOL_SIZE, max: POOL_SIZE });
  const database = { provide: DRIZZLE, useValue: drizzle(pool) };
  Reflect.decorate([Module({ providers: [database], exports: [DRIZZLE] })], DatabaseModule);
  const adapter = new TransactionalAdapterDrizzleOrm({ drizzleInstanceToken: DRIZZLE });
  const plugin = new ClsPluginTransactional({ imports: [DatabaseModule], adapter });
  Reflect.decorate([Module({ imports: [ClsModule.forRoot({ plugins: [plugin] })] })], Root);
  const app = await NestFactory.createApplicationContext(Root, { logger: false });
  const host = app.get<TransactionHost<Adapter>>(TransactionHost);
  return {
    round: () => inLoops(JOBS, (value) => insert(host, value)),
    async close() {
      await app.close();
      await pool.end();
    },
  };
}

/** Jobs against transactions of nestjs-cls, whose statements are written by hand: no unit of work. */
export const transactionHostClaim: Claim = {
  title: `${JOBS} jobs that insert a row and commit, ${POOL_SIZE} at once`,
  peer: '`TransactionHost` of @nestjs-cls/transactional with Drizzle, no unit of work',
  ours: (databaseUrl) => insertInJobs(JOBS, databaseUrl),
  theirs: insertInTransactions,
};
