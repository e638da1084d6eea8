import 'reflect-metadata';

import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { SessionInspectorModule } from 'nestjs-mikro-session/inspector';

@Module({ imports: [SessionInspectorModule.forRoot({ authorize: (request) => request.headers.host === 'localhost' })] })
class InspectedModule {}

// No server is needed: what is shown is that the door opens, and says what it misses.
const refusal: unknown = await NestFactory.createApplicationContext(InspectedModule, {
  logger: false,
  abortOnError: false,
}).catch(String);

if (!String(refusal).includes('Add SessionModule.forRoot()')) {
  throw new Error(`Expected to be told of what is missing, got ${String(refusal)}.`);
}
