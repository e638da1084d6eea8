import { MikroOrmModule } from '@mikro-orm/nestjs';
import { MikroORM } from '@mikro-orm/postgresql';
import type { ModuleMetadata, Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { SessionModule, type SessionModuleExtras, type SessionModuleOptions } from 'nestjs-mikro-session';

import { Note } from '../../support/note.entity.js';
import { ormOptions } from '../../support/test-app.js';
import type { GatewayAdapter, GatewayClient } from './gateway-adapters.js';

export interface GatewayAppOptions extends ModuleMetadata {
  readonly adapter: GatewayAdapter;
  readonly databaseUrl: string;
  readonly session: SessionModuleOptions & SessionModuleExtras;
}

export interface GatewayApp {
  connect(): Promise<GatewayClient>;
  get<Instance>(token: Type<Instance>): Instance;
  close(): Promise<void>;
}

class RootModule {}

/** Starts an application with gateways on the port of its HTTP server. */
export async function startGatewayApp(options: GatewayAppOptions): Promise<GatewayApp> {
  const { adapter, databaseUrl, session, ...metadata } = options;
  const app = await NestFactory.create(
    {
      ...metadata,
      module: RootModule,
      imports: [
        MikroOrmModule.forRoot(ormOptions(databaseUrl)),
        MikroOrmModule.forFeature([Note]),
        SessionModule.forRoot(session),
      ],
    },
    { logger: ['error', 'warn'] },
  );
  adapter.install(app);
  await app.listen(0, '127.0.0.1');
  const orm = app.get(MikroORM);
  await orm.schema.update();
  await orm.em.fork().nativeDelete(Note, {});
  const url = await app.getUrl();
  return {
    connect: () => adapter.connect(url),
    get: (token) => app.get(token, { strict: false }),
    close: () => app.close(),
  };
}
