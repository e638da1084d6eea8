import { findSqlState } from '../../session/pool/lost-connection.js';
import { findMaker, isTemplate, type Maker, DATABASE_NAMES } from './database-names.js';
import type { ServerConnection } from './server-connection.js';

const DAY_MS = 86_400_000;
/** Days that an unused template is kept. */
const TEMPLATE_DAYS = 7;
const IN_USE = '55006';
const TURN = 'session_testing stale databases';

interface Database {
  readonly name: string;
  /** The day of the last use of a template. */
  readonly used: string | null;
}

/** Drops the databases of crashed test runs: clones whose process has ended, and unused templates. */
export async function dropStale(connection: ServerConnection): Promise<void> {
  const stale = await findStale(connection);
  if (stale.length > 0) {
    await connection.inTurn(TURN, async () => {
      for (const name of stale) {
        // Without force: a database that somebody has connected to in the meantime is kept.
        await connection.query(`drop database if exists "${name}"`).catch((error: unknown) => {
          if (findSqlState(error) !== IN_USE) {
            throw error;
          }
        });
      }
    });
  }
}

async function findStale(connection: ServerConnection): Promise<string[]> {
  const rows = (await connection.query(
    `select datname as name, shobj_description(oid, 'pg_database') as used from pg_database
      where datname like $1 and pg_get_userbyid(datdba) = current_user
        and not exists (select from pg_stat_activity where datid = pg_database.oid)`,
    [DATABASE_NAMES],
  )) as unknown as readonly Database[];
  return rows.filter((database) => isStale(database)).map(({ name }) => name);
}

function isStale({ name, used }: Database): boolean {
  if (isTemplate(name)) {
    return used !== null && Date.now() - Date.parse(used) > TEMPLATE_DAYS * DAY_MS;
  }
  const maker = findMaker(name);
  return maker !== undefined && isGone(maker);
}

function isGone({ isOfThisMachine, pid, since }: Maker): boolean {
  return isOfThisMachine ? !isAlive(pid) : Date.now() - since > DAY_MS;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // The process exists, but belongs to another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
