import { randomUUID } from 'node:crypto';

import type { EntityManager } from '@mikro-orm/postgresql';

const PREFIX = 'numbers ';

/** PostgreSQL cuts a name off after 63 bytes. */
const ROOM = 63 - ` ${PREFIX}`.length - 36;

/** PREFIX and a UUID, at the end of a name. */
const PATTERN = `${PREFIX}([0-9a-f-]{36})$`;

/** One application on the database. Others can tell it from those that are gone: its connections have its name. */
export class Instance {
  /** @param id that of the application whose thread this one is */
  constructor(readonly id: string = randomUUID()) {}

  /**
   * Returns the name of its connections.
   *
   * @param wanted what the user wants them to be called, which comes first
   */
  nameConnections(wanted = ''): string {
    const own = PREFIX + this.id;
    return wanted === '' ? own : `${Buffer.from(wanted).subarray(0, ROOM).toString()} ${own}`;
  }

  /** Returns the ids of all instances that have a connection now, which one that has runs to do always has. */
  async findConnected(session: EntityManager): Promise<ReadonlySet<string>> {
    const connections = await session.execute<{ id: string | null }[]>(
      `select substring(application_name from ?) as id from pg_stat_activity where datname = current_database()`,
      [PATTERN],
    );
    return new Set(connections.flatMap(({ id }) => id ?? []));
  }
}
