import type { INestApplication, LoggerService } from '@nestjs/common';

import { createApp } from '../../../src/create-app.js';
import { JobsClient } from './jobs-client.js';

export interface DemoApp {
  readonly app: INestApplication;
  readonly client: JobsClient;
  close(): Promise<void>;
}

export interface DemoOptions {
  /** @default none */
  readonly logger?: LoggerService | false;
  /** Whether it works the queue. @default true */
  readonly work?: boolean;
  /** @default true */
  readonly inspector?: boolean;
}

/** Starts the demo in this process, on a free port. */
export async function startDemo(databaseUrl: string, options: DemoOptions = {}): Promise<DemoApp> {
  const app = await createApp({ databaseUrl, logger: false, ...options });
  await app.listen(0, '127.0.0.1');
  return { app, client: new JobsClient(await app.getUrl()), close: () => app.close() };
}
