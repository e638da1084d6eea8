import { MikroOrmModule } from '@mikro-orm/nestjs';
import { defineEntity, MikroORM, type Options, p, PostgreSqlDriver } from '@mikro-orm/postgresql';
import { type DynamicModule, type INestApplicationContext, Module, type Provider } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { SessionModule, type SessionModuleOptions } from 'nestjs-mikro-session';

export const Item = defineEntity({
  name: 'Item',
  properties: { id: p.integer().primary(), value: p.integer() },
});

export const POOL_SIZE = 8;

class Root {}
Reflect.decorate([Module({})], Root);

export function options(databaseUrl: string, connections = POOL_SIZE): Options {
  return {
    driver: PostgreSqlDriver,
    clientUrl: databaseUrl,
    entities: [Item],
    pool: { min: connections, max: connections },
    logger: () => undefined,
  };
}

export interface OursOptions {
  /** @default POOL_SIZE */
  readonly connections?: number;
  readonly injection?: 'request' | 'contextual';
  readonly imports?: DynamicModule[];
  readonly providers?: Provider[];
  readonly session?: SessionModuleOptions;
}

/** An application with sessions, with all checks on, as they are by default. */
export async function startOurs(
  databaseUrl: string,
  { connections, injection = 'request', imports = [], providers = [], session = {} }: OursOptions = {},
): Promise<INestApplicationContext> {
  const root: DynamicModule = {
    module: Root,
    imports: [
      MikroOrmModule.forRoot(options(databaseUrl, connections)),
      SessionModule.forRoot({ ...session, injection }),
      ...imports,
    ],
    providers,
  };
  return NestFactory.createApplicationContext(root, { logger: false });
}

/** MikroORM as it is, with an empty table. */
export async function startPeer(databaseUrl: string, connections?: number): Promise<MikroORM> {
  const orm = await MikroORM.init(options(databaseUrl, connections));
  await orm.schema.refresh();
  return orm;
}

/** Makes the table anew, empty, for a peer that does without MikroORM. */
export async function emptyTable(databaseUrl: string): Promise<void> {
  const orm = await startPeer(databaseUrl);
  await orm.close();
}

/** Makes the table anew, with one row. */
export async function prepare(databaseUrl: string): Promise<void> {
  const orm = await startPeer(databaseUrl);
  await orm.em.fork().insert(Item, { id: 1, value: 1 });
  await orm.close();
}
