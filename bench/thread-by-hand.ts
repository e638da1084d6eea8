// What a user of MikroORM and Piscina writes for the inside of a thread.
import 'reflect-metadata';

import { MikroORM } from '@mikro-orm/postgresql';
import { workerData } from 'piscina';

import { factorise } from '../src/runs/factorise.ts';
import { Item, options } from './applications.ts';
import type { HandData } from './threads.ts';

const { databaseUrl, connections } = workerData as HandData;
const orm = await MikroORM.init(options(databaseUrl, connections));

export async function compute(number: number): Promise<void> {
  await orm.em.fork().transactional(async (fork) => fork.create(Item, { value: factorise(number).length }));
}
