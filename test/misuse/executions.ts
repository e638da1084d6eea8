import type { EntityManager } from '@mikro-orm/postgresql';

import { HANDS_OUT_POOL } from '../support/hands-out-pool.js';
import { Note } from '../support/note.entity.js';
import { isSince } from '../support/since.js';
import { getTestDriver } from '../support/test-driver.js';

export type Execute = () => Promise<unknown>;

const isMariadb = getTestDriver() === 'mariadb';
if (isMariadb) {
  process.stderr.write('Left out on mariadb: "the schema of Kysely". It would commit the transaction that it is in.\n');
}

/** Takes something from an EntityManager, and gives what executes it. */
type Execution = (em: EntityManager) => Execute;

interface Tables {
  note: { id: number; text: string; tenant: string };
}

const compiled = (sql: string): never =>
  ({ sql, parameters: [], query: { kind: 'SelectQueryNode' }, queryId: { queryId: sql } }) as never;

const builders: Record<string, Execution> = {
  'a query builder': (em) => {
    const builder = em.createQueryBuilder(Note).select('*');
    return () => builder.execute();
  },
  'a query builder of a repository': (em) => {
    const builder = em.getRepository(Note).createQueryBuilder();
    return () => builder.getResultList();
  },
  'a query builder for one row': (em) => {
    const builder = em.qb(Note).select('*');
    return () => builder.getSingleResult();
  },
  'a query builder with its count': (em) => {
    const builder = em.qb(Note).select('*').limit(1);
    return () => builder.getResultAndCount();
  },
  'a query builder that counts': (em) => {
    const builder = em.qb(Note).count();
    return () => builder.getCount();
  },
  'a query builder that writes': (em) => {
    const builder = em.qb(Note).insert({ text: 'stolen' });
    return () => builder.execute('run');
  },
  'a query builder that streams': (em) => {
    const builder = em.qb(Note).select('*');
    return () => Array.fromAsync(builder.stream());
  },
  'a query builder that streams raw rows': (em) => {
    const rows = em.qb(Note).select('*').stream({ rawResults: true });
    return () => Array.fromAsync(rows);
  },
  'a copy of a query builder, compiled already': (em) => {
    const builder = em.qb(Note).select('*').clone().clone();
    builder.getQuery();
    return () => Array.fromAsync(builder.stream({ rawResults: true }));
  },
  'a union of query builders': (em) => {
    const union = em.qb(Note).select('id').union(em.qb(Note).select('id'));
    return () => Array.fromAsync(union.stream({ rawResults: true }));
  },
};

const kyselies: Record<string, Execution> = {
  'a query of Kysely': (em) => {
    const query = em.getKysely<Tables>().selectFrom('note').selectAll();
    return () => query.execute();
  },
  'a query of Kysely for one row': (em) => {
    const query = em
      .getKysely<Tables>()
      .with('n', (db) => db.selectFrom('note').selectAll())
      .selectFrom('n')
      .select('id');
    return () => query.executeTakeFirst();
  },
  'a query of Kysely that writes': (em) => {
    const kysely = em.getKysely<Tables>();
    return () => kysely.insertInto('note').values({ id: -9, text: 'stolen', tenant: 'a' }).execute();
  },
  'a query of Kysely that streams': (em) => {
    const query = em.getKysely<Tables>().selectFrom('note').selectAll();
    return () => Array.fromAsync(query.stream());
  },
  'Kysely with names of entities': (em) => {
    const kysely = em.getKysely<{ Note: { id: number } }>({ tableNamingStrategy: 'entity' });
    return () => kysely.selectFrom('Note').select('id').execute();
  },
  'Kysely with a schema': (em) => {
    const schema = isMariadb ? em.config.get('dbName') : 'public';
    const kysely = em.getKysely<Tables>().withSchema(schema!);
    return () => kysely.selectFrom('note').selectAll().execute();
  },
  'Kysely with a plugin': (em) => {
    const kysely = em.getKysely<Tables>().withPlugin({
      transformQuery: ({ node }) => node,
      transformResult: async ({ result }) => result,
    });
    return () => kysely.selectFrom('note').selectAll().execute();
  },
  'Kysely without plugins': (em) => {
    const kysely = em.getKysely<Tables>().withoutPlugins();
    return () => kysely.selectFrom('note').selectAll().execute();
  },
  'a compiled query of Kysely': (em) => {
    const kysely = em.getKysely();
    return () => kysely.executeQuery(compiled('select 1'));
  },
  'the executor of Kysely': (em) => {
    const executor = em.getKysely().getExecutor().withPlugins([]);
    return async () => executor.executeQuery(compiled('select 1'));
  },
};

const ddl: Record<string, Execution> = {
  'the schema of Kysely': (em) => {
    const { schema } = em.getKysely();
    return () => schema.dropTable('stolen').ifExists().execute();
  },
};

const connections: Record<string, Execution> = {
  'the connection': (em) => {
    const connection = em.getConnection();
    return () => connection.execute('select 1');
  },
  'the connection for reads': (em) => {
    const connection = em.getConnection('read');
    return () => connection.execute('select 1');
  },
  'a stream of the connection': (em) => {
    const sql = `insert into note (text) values ('stolen') returning id`;
    const rows = em.getConnection().stream(sql, [], em.getTransactionContext());
    return () => Array.fromAsync(rows);
  },
  'Kysely of the connection': (em) => {
    const kysely = em.getConnection().getClient();
    return () => kysely.executeQuery(compiled('select 1'));
  },
  'a script of the connection': (em) => {
    const connection = em.getConnection();
    return () => connection.executeDump('select 1');
  },
  ...(isSince('@mikro-orm/core', { ...HANDS_OUT_POOL, what: 'the pool of the connection' }) && {
    'the pool of the connection': (em: EntityManager) => {
      const connection = em.getConnection();
      return () => connection.getNativeClient();
    },
  }),
  'a transaction of the connection': (em) => {
    const connection = em.getConnection();
    return () => connection.transactional((transaction) => connection.execute('select 1', [], 'all', transaction));
  },
  'a transaction that the connection begins': (em) => {
    const connection = em.getConnection();
    return async () => connection.rollback(await connection.begin());
  },
};

/** What a transaction of Kysely does not have. */
const pooled: Record<string, Execution> = {
  'a connection of Kysely': (em) => {
    const builder = em.getKysely().connection();
    return () => builder.execute((own) => own.executeQuery(compiled('select 1')));
  },
  'a transaction of Kysely': (em) => {
    const builder = em.getKysely<Tables>().transaction();
    return () => builder.execute((own) => own.selectFrom('note').selectAll().execute());
  },
  'a transaction of Kysely that is begun by hand': (em) => {
    const builder = em.getKysely().startTransaction();
    return async () => (await builder.execute()).rollback().execute();
  },
  'the introspection of Kysely': (em) => {
    const { introspection } = em.getKysely();
    return () => introspection.getTables();
  },
};

const toList = (executions: Record<string, Execution>): [string, Execution][] => Object.entries(executions);

/** What works in a transaction and outside of one. A connection, asked for first, needs no session to be made for it. */
export const everywhere: [string, Execution][] = [
  ...toList(connections),
  ...toList(builders),
  ...toList(kyselies),
  ...(isMariadb ? [] : toList(ddl)),
];

export const outsideOfTransactions: [string, Execution][] = [...everywhere, ...toList(pooled)];
