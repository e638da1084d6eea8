import type { Options } from '@mikro-orm/postgresql';
import type { SessionModuleOptions } from 'nestjs-mikro-session';

import { ROW_LEVEL_SECURITY } from '../support/row-level-security.js';
import { isSince } from '../support/since.js';
import type { injections, Platform } from '../support/test-app.js';
import type { TestDatabase } from '../support/test-database.js';

/** One way to keep the rows of tenants apart. */
export interface Strategy {
  readonly name: string;
  readonly platform: Platform;
  readonly injection: (typeof injections)[number];
  readonly orm: Partial<Options>;
  readonly fork: NonNullable<SessionModuleOptions['fork']>;
  /** What a block without a tenant, labelled `nightly`, is told. */
  readonly refusal: string;
  prepare(database: TestDatabase): Promise<void>;
  cleanUp(database: TestDatabase): Promise<void>;
}

const ROLE = `mikro_session_tenant_${process.pid}`;

const all: readonly Strategy[] = [
  {
    name: 'filter parameters',
    platform: 'express',
    injection: 'request',
    orm: { filters: { tenant: { cond: ({ tenant }) => ({ tenant }), entity: ['Note'] } } },
    fork: ({ info }) => ({ filterParams: { tenant: { tenant: info['tenant'] } } }),
    refusal: 'Expected `fork.filterParams.tenant.tenant` to have a value in "nightly", got `undefined`.',
    prepare: async () => undefined,
    cleanUp: async () => undefined,
  },
  {
    name: 'a schema for each',
    platform: 'fastify',
    injection: 'request',
    orm: {},
    fork: ({ info }) => ({ schema: info['tenant'] as string }),
    refusal: 'Expected `fork.schema` to have a value in "nightly", got `undefined`.',
    async prepare(database) {
      for (const tenant of ['a', 'b']) {
        await database.query(`create schema ${tenant}`);
        await database.query(`create table ${tenant}.note (like public.note including all)`);
      }
    },
    cleanUp: async () => undefined,
  },
  {
    name: 'row level security',
    platform: 'fastify',
    injection: 'contextual',
    orm: {},
    fork: ({ info }) => ({ session: { role: ROLE, variables: { 'app.tenant': info['tenant'] as string } } }),
    refusal: 'Expected `fork.session.variables.app.tenant` to have a value in "nightly", got `undefined`.',
    async prepare(database) {
      await database.query(`create role ${ROLE}`);
      await database.query(`grant all on all tables in schema public to ${ROLE}`);
      await database.query(`grant all on all sequences in schema public to ${ROLE}`);
      await database.query('alter table note enable row level security');
      await database.query(
        `create policy own on note using (tenant = current_setting('app.tenant'))
         with check (tenant = current_setting('app.tenant'))`,
      );
    },
    async cleanUp(database) {
      await database.query(`drop owned by ${ROLE}`);
      await database.query(`drop role ${ROLE}`);
    },
  },
];

const hasAll = isSince('@mikro-orm/core', { ...ROW_LEVEL_SECURITY, what: 'two tenants with row level security' });

/** All of them find the tenant in the info of the scope. */
export const strategies = all.filter(({ name }) => hasAll || name !== 'row level security');
