import { rm } from 'node:fs/promises';

import type { EntityManager } from '@mikro-orm/postgresql';
import { JobService } from 'nestjs-mikro-session';

import type { TestApp } from '../../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.js';
import { compileThreadApp, startThreadApp, type ThreadAppOptions } from './thread-app.js';

type OwnOptions = Omit<ThreadAppOptions, 'folder' | 'databaseUrl'>;

/** An application whose jobs can run in threads, and what it needs. */
export class ThreadStage {
  private constructor(
    private readonly folder: string,
    readonly database: TestDatabase,
    readonly app: TestApp,
  ) {}

  static async set(options: OwnOptions = {}): Promise<ThreadStage> {
    const folder = await compileThreadApp();
    const database = await createTestDatabase();
    return new ThreadStage(folder, database, await startThreadApp({ ...options, folder, databaseUrl: database.url }));
  }

  get jobs(): JobService<EntityManager> {
    return this.app.get(JobService);
  }

  /** Starts another application on the same database. */
  startAnother(options: OwnOptions = {}): Promise<TestApp> {
    return startThreadApp({ ...options, folder: this.folder, databaseUrl: this.database.url });
  }

  async clear(): Promise<void> {
    await this.app.close();
    await this.database.drop();
    await rm(this.folder, { recursive: true, force: true });
  }
}
