import { JobQueue } from 'nestjs-mikro-session/pg-boss';

import type { TestApp } from '../../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.js';
import { startSendingApp } from './sending-app.js';
import type { WorkerSettings } from './worker-app/worker-settings.js';
import { WorkerProcesses } from './worker-processes.js';

/** The worker that comes to grief may be either. */
const NAMES = ['one', 'two'] as const;

/** Two worker processes on a database of their own, and who sends to them. */
export class TwoWorkers {
  private constructor(
    readonly database: TestDatabase,
    readonly processes: WorkerProcesses,
    private readonly app: TestApp,
  ) {}

  static async prepare(): Promise<TwoWorkers> {
    const database = await createTestDatabase();
    const processes = await WorkerProcesses.compile();
    return new TwoWorkers(database, processes, await startSendingApp(database.url));
  }

  get queue(): JobQueue {
    return this.app.get(JobQueue);
  }

  /** Starts those that do not run. */
  async start(settings: Pick<WorkerSettings, 'chunkSize' | 'prefetch'>): Promise<void> {
    const { url: databaseUrl } = this.database;
    await Promise.all(NAMES.map((name) => this.processes.ensure({ name, databaseUrl, ...settings })));
  }

  other(name: string): string {
    return name === 'one' ? 'two' : 'one';
  }

  /** Waits until no session of a process is in a transaction: it has decided. */
  async untilDecided(name: string): Promise<void> {
    await this.database.until(
      `select count(*) = 0 from pg_stat_activity
        where datname = current_database() and application_name = $1 and xact_start is not null`,
      [name],
    );
  }

  findEffects(): Promise<unknown[]> {
    return this.database.query('select input, worker from effect order by id');
  }

  findJobs(): Promise<unknown[]> {
    return this.database.query('select state from pgboss.job');
  }

  async forget(): Promise<void> {
    await this.database.query('delete from pgboss.job');
    await this.database.query('delete from effect');
  }

  async end(): Promise<void> {
    await this.processes.kill();
    await this.processes.remove();
    await this.app.close();
    await this.database.drop();
  }
}
