import { join } from 'node:path';

import type { LoggerService } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';

import { AppModule } from './app.module.js';
import { DemoLogger } from './demo-logger.js';
import { bodyBudget } from './http/body-budget.js';
import { OpenRequests } from './http/open-requests.js';
import { pageWithoutInspector } from './http/page-without-inspector.js';
import { securityHeaders } from './http/security-headers.js';

/** Enough for 100,000 numbers of 16 digits. */
const BODY_LIMIT = 2 * 1024 * 1024;

export interface AppOptions {
  readonly databaseUrl: string;
  /** Whether this process runs jobs of the queue. @default true */
  readonly work?: boolean;
  /** Whether the inspector is served. The demo has no passwords. @default except in production */
  readonly inspector?: boolean;
  /** @default warnings, errors and a line about each run that starts or ends, to the console */
  readonly logger?: LoggerService | false;
}

/** Creates the application without starting it. Its `init()` updates the schema of the database. */
export async function createApp({
  databaseUrl,
  work = true,
  inspector = process.env['NODE_ENV'] !== 'production',
  logger = new DemoLogger(),
}: AppOptions): Promise<NestExpressApplication> {
  const app = await NestFactory.create<NestExpressApplication>(AppModule.forRoot({ databaseUrl, work, inspector }), {
    logger,
    abortOnError: false,
    bodyParser: false,
  });
  app.disable('x-powered-by');
  app.use(securityHeaders());
  app.use(bodyBudget(BODY_LIMIT));
  app.useBodyParser('json', { limit: BODY_LIMIT });
  app.use(app.get(OpenRequests).watch);
  const page = join(import.meta.dirname, 'page');
  if (!inspector) {
    app.use(pageWithoutInspector(join(page, 'index.html')));
  }
  app.useStaticAssets(page);
  SwaggerModule.setup('docs', app, () => SwaggerModule.createDocument(app, description()));
  return app;
}

function description(): ReturnType<DocumentBuilder['build']> {
  return new DocumentBuilder()
    .setTitle('Numbers')
    .setDescription(
      'Factorises numbers in parallel jobs, in this process or on a durable queue that several processes work. Each job ' +
        'has a database session and a transaction of its own.',
    )
    .setVersion('0.1.0')
    .build();
}
