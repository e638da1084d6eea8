import { MikroOrmModule } from '@mikro-orm/nestjs';
import { MikroORM } from '@mikro-orm/postgresql';
import type { DynamicModule, INestApplicationContext, INestMicroservice, ModuleMetadata, Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { ClientProxy, MicroserviceOptions } from '@nestjs/microservices';
import { SessionModule, type SessionModuleExtras, type SessionModuleOptions } from 'nestjs-mikro-session';

import { Note } from '../../support/note.entity.js';
import { ormOptions } from '../../support/test-app.js';
import type { RpcForm, RpcTransport } from './rpc-transports.js';

export interface RpcAppOptions extends ModuleMetadata {
  readonly form: RpcForm;
  readonly transport: RpcTransport;
  readonly databaseUrl: string;
  readonly session: SessionModuleOptions & SessionModuleExtras;
}

export interface RpcApp {
  readonly client: ClientProxy;
  get<Instance>(token: Type<Instance>): Instance;
  close(): Promise<void>;
}

class RootModule {}

/** Starts a microservice, alone or beside an HTTP server, and a client of it. */
export async function startRpcApp(options: RpcAppOptions): Promise<RpcApp> {
  const { form, transport, databaseUrl, session, ...metadata } = options;
  const root: DynamicModule = {
    ...metadata,
    module: RootModule,
    imports: [
      MikroOrmModule.forRoot(ormOptions(databaseUrl)),
      MikroOrmModule.forFeature([Note]),
      SessionModule.forRoot(session),
      ...(metadata.imports ?? []),
    ],
  };
  const server = await transport.makeServer();
  const { app, microservice } = await (form === 'hybrid' ? startHybrid(root, server) : startStandalone(root, server));
  const orm = app.get(MikroORM);
  await orm.schema.update();
  await orm.em.fork().nativeDelete(Note, {});
  const client = transport.makeClient(microservice, server);
  await client.connect();
  return {
    client,
    get: (token) => app.get(token, { strict: false }),
    close: async () => {
      await client.close();
      await app.close();
      await transport.end?.(server);
    },
  };
}

interface Started {
  readonly app: INestApplicationContext;
  readonly microservice: INestMicroservice;
}

async function startHybrid(root: DynamicModule, server: MicroserviceOptions): Promise<Started> {
  const app = await NestFactory.create(root, { logger: ['error', 'warn'] });
  const microservice = app.connectMicroservice<MicroserviceOptions>(server);
  await app.startAllMicroservices();
  await app.listen(0, '127.0.0.1');
  return { app, microservice };
}

async function startStandalone(root: DynamicModule, server: MicroserviceOptions): Promise<Started> {
  const microservice = await NestFactory.createMicroservice<MicroserviceOptions>(root, {
    ...server,
    logger: ['error', 'warn'],
  });
  await microservice.listen();
  return { app: microservice, microservice };
}
