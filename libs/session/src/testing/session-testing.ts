import type { EntityManager, EntityManagerType, IDatabaseDriver, Options } from '@mikro-orm/core';
import type { INestApplicationContext } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';

import { SessionConnections } from '../nest/session-connections.js';
import { getSessionSourceToken } from '../nest/get-session-token.js';
import type { SessionSource } from '../session/session-source.js';
import type { LiveScope } from '../session/scope/live-scope.js';
import { ScopeStorage } from '../session/scope/scope-storage.js';
import { TaskScopes } from '../session/scope/task-scopes.js';
import { SessionSetupError, SessionStateError } from '../session/session-error.js';
import { assertOptions, integerFrom, ofType, type Rule } from '../session/assert-options.js';
import type { SessionEntityManager } from '../session/session-types.js';
import { OwnDatabase, type OwnDatabaseOptions } from './database/own-database.js';
import type { Drained, DrainOptions, QueueName } from './drain/drained.js';
import { hintAtResolve } from './hint-at-resolve.js';
import { type RunOptions, TestActor, type TestActorOptions, type Token } from './test-actor.js';
import { TestConnection } from './test-connection.js';

const drainRules: Record<keyof DrainOptions, Rule> = { limit: integerFrom(1), ignoreStartAfter: ofType('boolean') };

/**
 * Runs each test of an application in a transaction that is rolled back. Between `begin()` and `rollBack()`, all
 * sessions of the application use one connection, and their transactions are savepoints in the transaction of the test.
 *
 * @example
 * const testing = await SessionTesting.create(app);
 * beforeEach(() => testing.begin());
 * afterEach(() => testing.rollBack());
 */
export class SessionTesting<Em extends EntityManager = SessionEntityManager> {
  #state: 'ended' | 'open' | 'rolledBack' = 'ended';
  /** The scopes that were open before the test. */
  #before = new Set<LiveScope>();
  #ending = new AbortController();
  readonly #resolved = new Set<LiveScope>();
  readonly #actor: TestActor<Em>;

  private constructor(
    private readonly moduleRef: ModuleRef,
    private readonly connections: readonly TestConnection[],
    private readonly storage: ScopeStorage,
  ) {
    this.#actor = this.as({});
  }

  /**
   * @param app an application, an application context or a testing module
   * @throws {SessionSetupError} in production, without SessionModule, and for a database other than PostgreSQL
   */
  static async create<Em extends EntityManager = SessionEntityManager>(
    app: INestApplicationContext,
  ): Promise<SessionTesting<Em>> {
    if (process.env['NODE_ENV'] === 'production') {
      throw new SessionSetupError(
        'SessionTesting rolls back what an application writes, and does not start where NODE_ENV is "production".',
      );
    }
    // An application of NestFactory ends the process when its own get() finds nothing.
    const moduleRef = app.get(ModuleRef, { strict: false });
    const { sources } = find(moduleRef, SessionConnections);
    assertUnused(sources);
    const connections = await Promise.all(sources.map((source) => TestConnection.create(source)));
    const testing = new SessionTesting<Em>(moduleRef, connections, find(moduleRef, ScopeStorage));
    hintAtResolve(app);
    sources.forEach((source) => source.onClose(() => testing.#close()));
    return testing;
  }

  /**
   * Makes a separate database for a test file or a worker of the test runner. It is a clone of a template, which
   * `migrate` fills once. Also drops the databases that crashed runs have left.
   *
   * @throws {SessionSetupError} in production, for a database other than PostgreSQL, and without the right to make
   * databases
   */
  static database<
    Driver extends IDatabaseDriver,
    Em extends Driver[typeof EntityManagerType] & EntityManager<Driver>,
    Entities extends NonNullable<Options['entities']>,
  >(options: OwnDatabaseOptions<Driver, Em, Entities>): Promise<OwnDatabase<Partial<Options<Driver, Em, Entities>>>> {
    return OwnDatabase.create(options);
  }

  /**
   * Begins a test, on every connection of the application.
   *
   * @throws {SessionStateError} while a test is open, of this SessionTesting or of another one of the same application
   */
  async begin(): Promise<void> {
    if (this.#state === 'open') {
      throw new SessionStateError(
        'SessionTesting.begin() was called while a test was open. Call rollBack() at the end of each, in afterEach().',
      );
    }
    if (this.#state === 'ended') {
      assertUnused(this.connections.map(({ source }) => source));
    }
    this.#state = 'open';
    this.#ending = new AbortController();
    this.#before = new Set(this.storage.live);
    try {
      await settleAll(this.connections, (connection) => connection.begin());
    } catch (error) {
      await this.rollBack();
      throw error;
    }
  }

  /** Ends the work that still runs in the sessions of the test, and rolls back. Does nothing where no test is open. */
  async rollBack(): Promise<void> {
    if (this.#state !== 'open') {
      return;
    }
    this.#state = 'rolledBack';
    this.#ending.abort(
      new SessionStateError('SessionTesting.drain() was running jobs when their test was rolled back. Await it.'),
    );
    try {
      await settleAll(this.connections, (connection) => connection.stop());
      const scopes = [...this.storage.live].filter((scope) => !this.#before.has(scope));
      // Errors are ignored: the rollback of the test undoes everything.
      await Promise.allSettled([...this.#resolved, ...scopes].map((scope) => scope.end('rolledBack')));
      this.#resolved.clear();
    } finally {
      await settleAll(this.connections, (connection) => connection.rollBack());
    }
  }

  /** Lets the application commit again, until the next `begin()`. Also called when the application closes. */
  end(): void {
    if (this.#state === 'rolledBack') {
      this.#state = 'ended';
      this.connections.forEach((connection) => connection.restore());
    }
  }

  /** Runs `work` in a new session and one transaction, which is committed within the test when `work` returns. */
  async run<Result>(work: (session: Em) => Result | Promise<Result>, options?: RunOptions): Promise<Result> {
    return this.#actor.run(work, options);
  }

  /**
   * Returns a provider whose methods run in one new scope. The scope ends with the test. A request-scoped provider is
   * created for this scope. Other providers find the session of this scope, as they find that of a request.
   */
  async resolve<Instance extends object>(token: Token<Instance>): Promise<Instance> {
    return this.#actor.resolve(token);
  }

  /**
   * Runs the durable jobs that were sent in this test, as a worker would, and the jobs that their handlers send, until
   * no job is left that can run now. Each job has a transaction of its own inside that of the test.
   *
   * @param queue the queue to drain.
   *
   * @default all queues with a handler
   * @returns all attempts, also failed ones: a failed job does not make drain() throw
   */
  async drain(queue?: QueueName, options: DrainOptions = {}): Promise<Drained> {
    assertOptions('SessionTesting.drain()', options, drainRules);
    this.#assertOpen();
    const ending = this.#ending.signal;
    // The application may not have pg-boss.
    const { drainQueues } = await import('./drain/drain-queues.js');
    return drainQueues({ moduleRef: this.moduleRef, ending }, queue, options);
  }

  /** Returns an object with the same run() and resolve() for a tenant or a user: their scopes have this `info`. */
  as(options: TestActorOptions): TestActor<Em> {
    return new TestActor<Em>(
      {
        moduleRef: this.moduleRef,
        tasks: find(this.moduleRef, TaskScopes),
        findSource: (contextName) => {
          this.#assertOpen();
          return findSource(this.moduleRef, contextName);
        },
        createScope: (scopeOptions) => {
          this.#assertOpen();
          const scope = this.storage.createScope(scopeOptions);
          this.#resolved.add(scope);
          return scope;
        },
      },
      options,
    );
  }

  async #close(): Promise<void> {
    await this.rollBack();
    this.end();
  }

  #assertOpen(): void {
    if (this.#state !== 'open') {
      throw new SessionStateError(
        'SessionTesting was used where no test is open. Call begin() before, in beforeEach().',
      );
    }
  }
}

function find<Provider>(moduleRef: ModuleRef, token: abstract new (...args: never[]) => Provider): Provider {
  try {
    return moduleRef.get<Provider>(token, { strict: false });
  } catch (cause) {
    throw new SessionSetupError(
      'SessionTesting found no SessionModule in the application. Add SessionModule.forRoot() to its imports.',
      { cause },
    );
  }
}

function findSource(moduleRef: ModuleRef, contextName: string | undefined): SessionSource {
  try {
    return moduleRef.get<SessionSource>(getSessionSourceToken(contextName), { strict: false });
  } catch (cause) {
    const [connection, option] =
      contextName === undefined
        ? ['default connection', '']
        : [`connection "${contextName}"`, `{ contextName: '${contextName}' }`];
    throw new SessionSetupError(
      `SessionTesting found no sessions of the ${connection} in the application. Add SessionModule.forRoot(${option}) to ` +
        'its imports, or name another connection: run(work, { contextName }).',
      { cause },
    );
  }
}

/** @throws {SessionStateError} when another SessionTesting has the connections, within a test or after it */
function assertUnused(sources: readonly SessionSource[]): void {
  if (sources.some(({ isInTest }) => isInTest)) {
    throw new SessionStateError(
      'The connections of the application are in use by another SessionTesting of this application. Use that one, or ' +
        'call its rollBack() and end() before.',
    );
  }
}

/** Runs `work` for all items, even when it fails for one. */
async function settleAll(
  connections: readonly TestConnection[],
  work: (connection: TestConnection) => Promise<void>,
): Promise<void> {
  const results = await Promise.allSettled(connections.map((connection) => work(connection)));
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) {
    throw failed.reason;
  }
}
