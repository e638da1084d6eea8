import type { EntityManager } from '@mikro-orm/postgresql';
import {
  getSessionToken,
  NoActiveSessionError,
  SessionContext,
  SessionFactory,
  SessionOwnershipError,
  SessionRegistry,
} from 'nestjs-mikro-session';

import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

describe('the option scopeFunc', () => {
  let database: TestDatabase;
  let app: TestApp;
  let context: SessionContext<EntityManager>;
  let registry: SessionRegistry;
  let key: unknown;

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({
      databaseUrl: database.url,
      session: { injection: 'contextual', scopeFunc: () => key as object | undefined },
    });
    context = app.get(SessionContext);
    registry = app.get(SessionRegistry);
  });

  beforeEach(() => {
    key = { name: 'first' };
  });

  afterEach(async () => {
    await context.remove();
    expect(registry.list()).toEqual([]);
    key = undefined;
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  it('finds the same session as long as it gives the same key', async () => {
    const session = context.current;
    await session.execute('select 1');

    expect(context.current).toBe(session);
    expect(app.get<EntityManager>(getSessionToken()).id).toBe(session.id);
    expect(app.orm.em.id).toBe(session.id);
  });

  it('makes a scope of its own kind, which is listed while it has a session', async () => {
    expect(registry.list()).toEqual([]);

    context.current.clear();

    expect(registry.list()).toMatchObject([{ kind: 'key', label: 'SessionModule.scopeFunc', state: 'open' }]);
    await context.remove();
    expect(registry.list()).toEqual([]);
  });

  it('finds a new session for the same key after remove()', async () => {
    const session = context.current;

    await context.remove();

    expect(context.current).not.toBe(session);
    expect(() => session.clear()).toThrow('it had been removed from its scope');
  });

  it('is not asked where AsyncLocalStorage knows the scope', async () => {
    const outer = context.current;

    const inner = await app.get<SessionFactory>(SessionFactory).run(() => context.current);

    expect(inner).not.toBe(outer);
    expect(context.current).toBe(outer);
  });

  it('keeps the session of one key from the code of another, and of none', () => {
    const owner = key;
    const session = context.current;

    key = { name: 'second' };
    expect(() => session.clear()).toThrow(SessionOwnershipError);
    key = undefined;
    expect(() => session.clear()).toThrow(SessionOwnershipError);
    key = owner;
    expect(() => session.clear()).not.toThrow();
  });

  it('lets a block that was opened for the key use its session', async () => {
    const session = context.current;

    await app.get<SessionFactory>(SessionFactory).run(() => {
      expect(() => session.clear()).not.toThrow();
    });
  });

  it('has no session where it gives no key', () => {
    key = undefined;

    expect(context.tryCurrent).toBeUndefined();
    expect(() => context.current).toThrow(NoActiveSessionError);
    expect(() => context.open({})).toThrow(NoActiveSessionError);
  });

  it('has no session that was opened with options which say nothing of the tenant', () => {
    key = {};

    expect(() => context.open({ schema: 'a' } as never)).toThrow('SessionContext.open() has no option `schema`.');
    expect(() => context.open({ fork: { schema: '*' } })).toThrow('Expected `fork.schema` to be the name of a schema');
    expect(context.open({ fork: { schema: 'a' } }).schema).toBe('a');
  });

  it('is refused when it gives a key that is no object', () => {
    key = 7;

    expect(() => context.current).toThrow(
      new TypeError('Expected `scopeFunc` to return an object or undefined, got `7` (number).'),
    );
    key = undefined;
  });
});
