import { EntityManager, FlushMode, wrap } from '@mikro-orm/postgresql';
import {
  getSessionToken,
  NoActiveSessionError,
  SessionContext,
  SessionFactory,
  SessionRegistry,
  SessionStateError,
} from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { useTestApp } from '../support/use-test-app.js';
import { findMethodsThatAnswer, METHODS_WITHOUT_SESSION } from './methods-that-answer.js';

class CountingEntityManager extends EntityManager {
  countNotes(): Promise<number> {
    return this.count(Note);
  }
}

describe('the registry of sessions', () => {
  let factory: SessionFactory<CountingEntityManager>;
  let context: SessionContext<CountingEntityManager>;
  let injected: CountingEntityManager;
  let tellKey = (): object | undefined => undefined;

  const { app, database } = useTestApp({
    orm: { entityManager: CountingEntityManager },
    session: { injection: 'contextual', scopeFunc: () => tellKey() },
  });

  beforeAll(() => {
    factory = app.get(SessionFactory);
    context = app.get(SessionContext);
    injected = app.get(getSessionToken());
  });

  afterEach(async () => {
    tellKey = () => undefined;
    expect(app.get<SessionRegistry>(SessionRegistry).list()).toEqual([]);
    await database.query('delete from note');
  });

  async function endKey(key: object): Promise<void> {
    tellKey = () => key;
    await context.remove();
  }

  // SQLAlchemy test/ext/asyncio/test_scoping.py test_basic
  it('gives the same session each time within one scope', async () => {
    await factory.run(async (session) => {
      const before = context.current;
      await session.execute('select 1');

      expect(context.current).toBe(before);
      expect(context.current).toBe(session);
    });
  });

  // SQLAlchemy test/orm/test_scoping.py test_basic
  it('finds what was committed in a new session, when the one that wrote it was removed', async () => {
    await factory.run(async (session) => {
      const written = session.create(Note, { text: 'kept' });
      await session.flush();

      await context.remove();
      const found = await context.current.findOneOrFail(Note, { text: 'kept' });

      expect(context.current).not.toBe(session);
      expect(found).not.toBe(written);
      expect(found.id).toBe(written.id);
    });
  });

  // Flask-SQLAlchemy tests/test_session.py test_scope
  it('has no session outside of every scope, and another one in each scope', async () => {
    const first = await factory.run(() => context.current);
    const second = await factory.run(() => context.current);

    expect(second).not.toBe(first);
    expect(context.tryCurrent).toBeUndefined();
    expect(() => context.current).toThrow(NoActiveSessionError);
  });

  // Flask-SQLAlchemy tests/test_session.py test_custom_scope
  it('gives another session when the function that tells the scope gives another key', async () => {
    const keys: object[] = [];
    tellKey = () => {
      keys.push({ number: keys.length });
      return keys.at(-1);
    };

    const sessions = [context.current, context.current];

    expect(sessions[0]).not.toBe(sessions[1]);
    for (const used of keys) {
      await endKey(used);
    }
  });

  // SQLAlchemy test/orm/test_scoping.py test_config_errors
  it('refuses options for a session that is there already', async () => {
    await factory.run(async (session) => {
      expect(() => context.open({ fork: { flushMode: FlushMode.COMMIT } })).toThrow(
        new SessionStateError(
          'SessionContext.open() was called in "SessionFactory.run", which has a session already. ' +
            'Call it before the first use of the session, or close that one with SessionContext.remove().',
        ),
      );
      expect(context.current).toBe(session);
    });
  });

  // SQLAlchemy test/orm/test_scoping.py test_call_with_kwargs
  it('takes options where there is no session yet, for that scope alone', async () => {
    const [zero, one] = [{}, {}];
    tellKey = () => zero;
    const plain = context.current;

    tellKey = () => one;
    const opened = context.open({ fork: { schema: 'other' } });

    expect(context.current).toBe(opened);
    expect(context.current.schema).toBe('other');
    tellKey = () => zero;
    expect(context.current).toBe(plain);
    expect(context.current.schema).toBeUndefined();
    await endKey(zero);
    await endKey(one);
  });

  // SQLAlchemy test/orm/test_scoping.py test_methods_etc
  it('passes the calls of the injected session on to that of the scope, unchanged', async () => {
    await database.query(`insert into note (id, text) values (1001, 'one'), (1002, 'two')`);

    await factory.run(async (session) => {
      const found = await injected.find(Note, { text: { $ne: 'two' } }, { limit: 5 });
      const created = injected.create(Note, { text: 'three' });
      injected.remove(found[0]!);

      expect(found.map(({ id }) => id)).toEqual([1001]);
      expect(session.getUnitOfWork().getById(Note, 1001)).toBe(found[0]);
      expect(injected.getReference(Note, 1001)).toBe(session.getReference(Note, 1001));
      expect([...session.getUnitOfWork().getPersistStack()]).toEqual([created]);
      expect([...session.getUnitOfWork().getRemoveStack()]).toEqual(found);
      expect(wrap(found[0]!, true).__em).toBe(session);
      await injected.flush();
    });

    expect(await database.query('select text from note order by text')).toEqual([{ text: 'three' }, { text: 'two' }]);
  });

  // SQLAlchemy test/orm/test_scoping.py test_attributes, test/ext/asyncio/test_scoping.py test_attributes
  it('has a current session behind every method of the injected one, but for those that need none', async () => {
    expect(await findMethodsThatAnswer(injected, NoActiveSessionError)).toEqual(
      METHODS_WITHOUT_SESSION.filter((name) => name in injected),
    );
  });

  // Flask-SQLAlchemy tests/test_session.py test_session_class
  it('gives sessions of the EntityManager class that the application chose', async () => {
    await database.query(`insert into note (text) values ('one')`);

    await factory.run(async (session) => {
      expect(session).toBeInstanceOf(CountingEntityManager);
      expect(context.current).toBeInstanceOf(CountingEntityManager);
      expect(await session.countNotes()).toBe(1);
      expect(await injected.countNotes()).toBe(1);
    });
  });

  // SQLAlchemy test/orm/test_events.py test_scoped_session_listen
  it('has the listeners of the application in each session made later', async () => {
    const heard: number[] = [];
    let isListening = true;
    injected.getEventManager().registerSubscriber({
      beforeFlush: ({ em }) => {
        if (isListening) {
          heard.push(em.id);
        }
      },
    });

    const id = await factory.run(async (session) => {
      await session.flush();
      return session.id;
    });
    isListening = false;

    expect(heard).toEqual([id]);
  });

  // SQLAlchemy test/orm/test_session.py test_info
  it('adds the info of a call to that of the factory, without a trace in the next call', async () => {
    const infoOf = (info?: Readonly<Record<string, unknown>>): Promise<object> =>
      factory.run(
        () => {
          const seen = { ...context.scope.info };
          Object.assign(context.scope.info, { everywhere: 'overwritten', local: 'overwritten' });
          return seen;
        },
        info === undefined ? {} : { info },
      );
    const before = await infoOf();
    factory.configure({ info: { everywhere: true, tenant: 5 } });

    const plain = await infoOf();
    const merged = await infoOf({ tenant: 6, local: true });
    const after = await infoOf();

    expect(before).toEqual({});
    expect(plain).toEqual({ everywhere: true, tenant: 5 });
    expect(merged).toEqual({ everywhere: true, tenant: 6, local: true });
    expect(after).toEqual({ everywhere: true, tenant: 5 });
  });
});
