import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

import { findTypeErrors } from './support/type-errors.js';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** What the examples take for granted. */
const PRELUDE = `
import { MikroOrmModule } from '@mikro-orm/nestjs';
import { Entity, PrimaryKey, Property } from '@mikro-orm/decorators/legacy';
import { EntityManager, PostgreSqlDriver } from '@mikro-orm/postgresql';
import { Injectable, Module } from '@nestjs/common';
import { InjectSession, JobService, SessionContext, SessionFactory, SessionModule, SessionRegistry } from 'nestjs-mikro-session';
import { JobHandler, JobQueue, JobQueueModule } from 'nestjs-mikro-session/pg-boss';
declare module 'nestjs-mikro-session/pg-boss' { interface QueueInputs { squares: number } }
declare const queue: JobQueue;
export { JobHandler, JobQueueModule, queue };
export { Entity, Injectable, InjectSession, JobService, MikroOrmModule, Module, PostgreSqlDriver, SessionContext, SessionFactory, SessionModule, SessionRegistry };
@Entity() export class User { @PrimaryKey({ type: 'integer' }) id!: number; }
@Entity() export class Square {
  @PrimaryKey({ type: 'integer' }) id!: number;
  @Property({ type: 'integer' }) input!: number;
  @Property({ type: 'integer' }) square!: number;
}
declare const jobs: JobService<EntityManager>, factory: SessionFactory<EntityManager>;
declare const context: SessionContext<EntityManager>, registry: SessionRegistry, numbers: number[];
declare const mailer: { send(mail: unknown): Promise<void> }, welcome: unknown;
export { jobs, factory, context, registry, numbers, mailer, welcome };
`;

async function readExamples(path: string): Promise<string[]> {
  const text = await readFile(`${root}/${path}`, 'utf8');
  return [...text.matchAll(/^```ts\n([^]*?)^```/gm)].map(([, code = '']) => code);
}

describe.each(['README.md', 'libs/session/README.md'])('%s', (path) => {
  it('has examples that compile', async () => {
    const examples = await readExamples(path);

    // Each in a block of its own, where a name may be used again.
    const blocks = examples.map(
      (code) => `{\n${code.replaceAll('export class', 'class').replaceAll('{ ... }', '{}')}\n}`,
    );

    expect(examples.length).toBeGreaterThan(0);
    expect(findTypeErrors({ 'readme-example.ts': `${PRELUDE}\n${blocks.join('\n')}` })).toEqual([]);
  }, 60_000);
});
