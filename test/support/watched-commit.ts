import type { TestDatabase } from './test-database.js';

/** The lock that the commit of a note with the text `slow` waits for. */
const SLOW = 7;

/** Lets a commit fail for a note with the text `refused`, and wait for a lock for one with the text `slow`. */
export async function watchCommits(database: TestDatabase): Promise<void> {
  await database.query(`
    create function watch_commit() returns trigger language plpgsql as $$
    begin
      if new.text = 'slow' then
        perform pg_advisory_xact_lock(${SLOW});
      end if;
      if new.text = 'refused' then
        raise exception 'refused' using errcode = 'serialization_failure';
      end if;
      return null;
    end $$`);
  await database.query(
    'create constraint trigger watch_commit after insert on note deferrable initially deferred ' +
      'for each row execute function watch_commit()',
  );
}

export const holdCommits = (database: TestDatabase): Promise<unknown> =>
  database.query('select pg_advisory_lock($1)', [SLOW]);

export const letCommit = (database: TestDatabase): Promise<unknown> =>
  database.query('select pg_advisory_unlock($1)', [SLOW]);

export const untilCommitting = (database: TestDatabase): Promise<void> =>
  database.until(
    `select count(*) = 1 from pg_locks join pg_database on pg_database.oid = database
     where datname = current_database() and locktype = 'advisory' and objid = $1 and not granted`,
    [SLOW],
  );
