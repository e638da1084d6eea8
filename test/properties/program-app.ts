import { EntityManager } from '@mikro-orm/postgresql';
import { Controller, Injectable, Param, Post } from '@nestjs/common';
import {
  getSessionToken,
  InjectSession,
  JobService,
  SessionContext,
  SessionFactory,
  SessionRegistry,
} from 'nestjs-mikro-session';
import type { Pool } from 'pg';

import type { TestDatabase } from '../support/test-database.js';
import { Note } from '../support/note.entity.js';
import { type injections, startTestApp, type TestApp } from '../support/test-app.js';
import { abilitiesOf } from './abilities.js';
import { Mark } from './mark.entity.js';
import type { NetworkFaults } from './network-faults.js';

export type Injection = (typeof injections)[number];

/** Does what a part of a program has to do, with the session that was injected. */
export type Enter = (injected: EntityManager) => Promise<void>;

/** Where a request finds its part of the program. */
@Injectable()
class Stage {
  readonly parts = new Map<string, Enter>();
}

@Controller('parts')
class PartController {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly stage: Stage,
  ) {}

  @Post(':name')
  async perform(@Param('name') name: string): Promise<void> {
    await this.stage.parts.get(name)!(this.session);
  }
}

interface PartInput {
  readonly enter: Enter;
}

/** Does its part of the program as a job. */
@Injectable()
export class PartWorker {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  handle({ enter }: PartInput): Promise<void> {
    return enter(this.session);
  }
}

/** An application that runs programs, over a small pool of connections. */
export interface ProgramApp extends Pick<TestApp, 'app' | 'close' | 'orm' | 'url'> {
  /** Its connections, where PostgreSQL is the database. */
  readonly pool: Pool | undefined;
  /** How the network to the database fails, where a test can let it. */
  readonly faults: NetworkFaults | undefined;
  readonly parts: Map<string, Enter>;
  readonly factory: SessionFactory<EntityManager>;
  readonly context: SessionContext<EntityManager>;
  readonly jobs: JobService<EntityManager>;
  readonly registry: SessionRegistry;
  /** The injected session that serves every scope, where there is one. */
  readonly contextual: EntityManager | undefined;
}

interface ProgramAppOptions {
  readonly database: TestDatabase;
  readonly faults: NetworkFaults | undefined;
  readonly injection: Injection;
}

export async function startProgramApp({ database, faults, injection }: ProgramAppOptions): Promise<ProgramApp> {
  const pools: Pool[] = [];
  const started = await startTestApp({
    databaseUrl: faults?.url ?? database.url,
    session: { injection },
    orm: {
      entities: [Note, Mark],
      pool: { min: 0, max: abilitiesOf[database.driver].poolSize },
      ...(database.driver === 'postgresql' && { driverOptions: { onPoolCreated: (pool: Pool) => pools.push(pool) } }),
    },
    controllers: [PartController],
    providers: [Stage, PartWorker],
  });
  started.app.useLogger(false);
  return {
    ...started,
    pool: pools[0],
    faults,
    parts: started.get<Stage>(Stage).parts,
    factory: started.get(SessionFactory),
    context: started.get(SessionContext),
    jobs: started.get(JobService),
    registry: started.get(SessionRegistry),
    contextual: injection === 'contextual' ? started.get(getSessionToken()) : undefined,
  };
}
