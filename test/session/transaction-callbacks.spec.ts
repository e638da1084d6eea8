import { type EntityManager, TransactionPropagation } from '@mikro-orm/postgresql';
import { SessionContext, SessionFactory } from 'nestjs-mikro-session';

import { CapturedLog } from '../support/captured-log.js';
import { Note } from '../support/note.entity.js';
import { useTestApp } from '../support/use-test-app.js';

describe('SessionContext callbacks', () => {
  let factory: SessionFactory<EntityManager>;
  let context: SessionContext<EntityManager>;
  let calls: string[];

  const { app, database } = useTestApp();

  beforeAll(() => {
    factory = app.get(SessionFactory);
    context = app.get(SessionContext);
  });

  beforeEach(() => {
    calls = [];
  });

  afterEach(() => database.query('delete from note'));

  /** Registers a callback of each kind under one name. */
  function register(name: string): void {
    context.afterCommit(() => void calls.push(`${name} committed`));
    context.afterRollback(() => void calls.push(`${name} rolled back`));
  }

  const failing = async (): Promise<never> => {
    throw new Error('on purpose');
  };

  it('run after the commit, in the order of registration, when others can see the data', async () => {
    await factory.begin(async (session) => {
      session.create(Note, { text: 'a' });
      context.afterCommit(async () => {
        calls.push(`one sees ${(await database.query('select * from note')).length}`);
      });
      context.afterCommit(() => void calls.push('two'));
      context.onClose(() => void calls.push('closed'));
      calls.push('end of work');
    });

    expect(calls).toEqual(['end of work', 'one sees 1', 'two', 'closed']);
  });

  it('wait on when a transactional() call within their transaction is refused', async () => {
    await factory.run((session) =>
      session.transactional(async (outer) => {
        register('outer');
        await expect(outer.transactional(() => 0, { propagation: TransactionPropagation.NEVER })).rejects.toThrow(
          'never',
        );
        calls.push('refused');
      }),
    );

    expect(calls).toEqual(['refused', 'outer committed']);
  });

  it('run once, for the outermost commit only', async () => {
    await factory.run(async (session) => {
      await session.transactional(async (outer) => {
        register('outer');
        await outer.transactional(async () => register('inner'));
        calls.push('inner ended');
      });
      await session.transactional(async () => 0);
    });

    expect(calls).toEqual(['inner ended', 'outer committed', 'inner committed']);
  });

  it('of a savepoint that was rolled back do not run for the commit around it', async () => {
    await factory.begin(async (session) => {
      register('outer');
      await session
        .transactional(async () => {
          register('inner');
          await failing();
        })
        .catch(() => calls.push('caught'));
    });

    expect(calls).toEqual(['inner rolled back', 'caught', 'outer committed']);
  });

  it.each([
    ['begin()', () => factory.begin(async () => (register('work'), failing()))],
    [
      'transactional()',
      () => factory.run((session) => session.transactional(async () => (register('work'), failing()))),
    ],
  ])('run after the rollback of %s', async (_name, work) => {
    await expect(work()).rejects.toThrow('on purpose');

    expect(calls).toEqual(['work rolled back']);
  });

  it('run after the rollback of a transaction that was left open', async () => {
    await factory.run(async (session) => {
      await session.begin();
      register('work');
    });

    expect(calls).toEqual(['work rolled back']);
  });

  it('wait for the next transaction, that of a flush too, where none is open', async () => {
    await factory.run(async (session) => {
      register('work');
      await session.flush();
      calls.push('nothing flushed');
      session.create(Note, { text: 'a' });
      await session.flush();
    });

    expect(calls).toEqual(['nothing flushed', 'work committed']);
  });

  it('run after the rollback of a flush that failed on its own', async () => {
    await database.query(`insert into note (id, text) values (1, 'a')`);

    await factory.run(async (session) => {
      register('flush');
      session.persist(Object.assign(new Note(), { id: 1, text: 'again' }));
      await expect(session.flush()).rejects.toThrow('duplicate key');
      calls.push('failed');
    });

    expect(calls).toEqual(['flush rolled back', 'failed']);
  });

  it('run with a session of their own', async () => {
    await factory.begin(async (session) => {
      context.afterCommit(async () => {
        calls.push(context.current === session ? 'same' : 'new', context.scope.label);
        await factory.begin((own) => {
          own.create(Note, { text: 'from the callback' });
        });
      });
    });

    expect(calls).toEqual(['new', 'afterCommit of SessionFactory.begin']);
    expect(await database.query('select text from note')).toEqual([{ text: 'from the callback' }]);
  });

  it('may not use the session whose transaction they wait for', async () => {
    using log = new CapturedLog();

    await factory.begin((session) => {
      context.afterCommit(async () => void (await session.count(Note)));
    });

    expect(log.errors).toEqual([expect.stringContaining('was used in "afterCommit of SessionFactory.begin"')]);
  });

  it('that throw are reported, and stop neither the commit nor the next', async () => {
    using log = new CapturedLog();

    const result = await factory.begin((session) => {
      session.create(Note, { text: 'a' });
      context.afterCommit(failing);
      context.afterCommit(() => void calls.push('two'));
      context.onClose(failing);
      return 7;
    });

    expect(result).toBe(7);
    expect(calls).toEqual(['two']);
    expect(log.errors).toEqual([expect.stringContaining('on purpose'), expect.stringContaining('on purpose')]);
    expect(await database.query('select text from note')).toEqual([{ text: 'a' }]);
  });
});
