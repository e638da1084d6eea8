import { randomUUID } from 'node:crypto';

import type { EntityManager } from '@mikro-orm/postgresql';

const PREFIX = 'numbers ';

/** One application on the database. Others can tell it from those that are gone: its connections have its name. */
export class Instance {
  /** @param id that of the application whose thread this one is */
  constructor(readonly id: string = randomUUID()) {}

  /** The name of its connections. */
  get applicationName(): string {
    return PREFIX + this.id;
  }

  /** Gives the ids of all instances that have a connection now, which one that has runs to do always has. */
  async findConnected(session: EntityManager): Promise<ReadonlySet<string>> {
    const connections = await session.execute<{ name: string }[]>(
      `select application_name as name from pg_stat_activity
       where datname = current_database() and starts_with(application_name, ?)`,
      [PREFIX],
    );
    return new Set(connections.map(({ name }) => name.slice(PREFIX.length)));
  }
}
