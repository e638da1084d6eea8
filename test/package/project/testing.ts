import 'reflect-metadata';

import type { EntityManager } from '@mikro-orm/postgresql';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { SessionTesting } from 'nestjs-mikro-session/testing';

@Module({})
class EmptyModule {}

// No server is needed: what is shown is that the door opens, and says what it misses.
const app = await NestFactory.createApplicationContext(EmptyModule, { logger: false });
const refusal: unknown = await SessionTesting.create<EntityManager>(app).catch(String);
await app.close();

if (!String(refusal).includes('Add SessionModule.forRoot()')) {
  throw new Error(`Expected to be told of what is missing, got ${String(refusal)}.`);
}
