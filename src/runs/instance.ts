import { randomUUID } from 'node:crypto';

import type { EntityManager } from '@mikro-orm/postgresql';

const PREFIX = 'numbers ';

/** PostgreSQL shortens names to 63 bytes. */
const ROOM = 63 - ` ${PREFIX}`.length - 36;

/** PREFIX and a UUID, at the end of a name. */
const PATTERN = `${PREFIX}([0-9a-f-]{36})$`;

/**
 * One running application on the database. Its connections have its name, so that other applications can see that it is
 * alive.
 */
export class Instance {
  /** @param id the id of the main application, in a worker thread */
  constructor(readonly id: string = randomUUID()) {}

  /**
   * Returns the name of its connections.
   *
   * @param wanted the name that the user has chosen. It comes first
   */
  nameConnections(wanted = ''): string {
    const own = PREFIX + this.id;
    return wanted === '' ? own : `${Buffer.from(wanted).subarray(0, ROOM).toString()} ${own}`;
  }

  /** Returns the ids of all instances that have a connection now. An instance with unfinished runs always has one. */
  async findConnected(session: EntityManager): Promise<ReadonlySet<string>> {
    const connections = await session.execute<{ id: string | null }[]>(
      `select substring(application_name from ?) as id from pg_stat_activity where datname = current_database()`,
      [PATTERN],
    );
    return new Set(connections.flatMap(({ id }) => id ?? []));
  }
}
