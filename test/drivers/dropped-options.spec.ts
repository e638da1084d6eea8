import { EntityManager, type IsolationLevel, type TransactionOptions, TransactionPropagation } from '@mikro-orm/core';
import { Transactional } from '@mikro-orm/decorators/legacy';
import { Injectable } from '@nestjs/common';
import { InSession, SessionStateError } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { injections } from '../support/test-app.js';
import type { TestDriver } from '../support/test-driver.js';
import { type DriverApp, otherDrivers, startDriverApp } from './support/driver-app.js';

const defaults = {
  postgresql: 'read committed',
  mariadb: 'repeatable read',
  sqlite: 'serializable',
} as const satisfies Record<TestDriver, `${IsolationLevel}`>;

const drivers = (['postgresql', ...otherDrivers] as const).flatMap((driver) =>
  injections.map((injection) => ({ driver, injection })),
);

@Injectable()
class Books {
  constructor(private readonly em: EntityManager) {}

  @Transactional({ isolationLevel: 'read uncommitted' as never })
  async decorated(): Promise<number> {
    return this.em.count(Note);
  }

  @InSession({ transaction: { isolationLevel: 'read committed' } })
  async committed(): Promise<boolean> {
    return true;
  }

  @InSession({ transaction: { isolationLevel: 'repeatable read' } })
  async repeatable(): Promise<boolean> {
    return true;
  }

  @InSession({ transaction: { isolationLevel: 'serializable' } })
  async serializable(): Promise<boolean> {
    return true;
  }
}

describe.each(drivers)('options of a transaction, on $driver with $injection injection', ({ driver, injection }) => {
  let app: DriverApp;
  const level = defaults[driver];

  beforeAll(async () => {
    app = await startDriverApp(driver, { session: { injection }, providers: [Books] });
  });

  afterEach(() => {
    expect(app.registry.list()).toEqual([]);
  });

  afterAll(() => app.close());

  /** Asks for a transaction within one that was begun with other options, or none. */
  const ask = (options: TransactionOptions, around: object = {}): Promise<unknown> =>
    app.factory.begin((session) => session.transactional((em) => em.count(Note), options), {
      label: 'nightly',
      transaction: around,
    });

  const joining = Object.values(TransactionPropagation).filter((one) => /nested|required|mandatory/.test(one));

  it.each(joining)('are refused where the open transaction does not have them: %s', async (propagation) => {
    const refused = ask({ propagation, isolationLevel: 'read uncommitted' });

    await expect(refused).rejects.toThrow(SessionStateError);
    await expect(refused).rejects.toThrow(
      "transactional() or @Transactional() asks for a transaction with `isolationLevel: 'read uncommitted'`, but joins " +
        `the one that "nightly" has open, which has \`'${level}'\`.`,
    );
    await expect(ask({ propagation, readOnly: true })).rejects.toThrow('`readOnly: true`');
    await expect(ask({ propagation, sessionContext: { variables: {} } })).rejects.toThrow('`sessionContext: ');
  });

  it.each(joining)(
    'are met by those of the open transaction, and by what the database gives: %s',
    async (propagation) => {
      expect(await ask({ propagation, isolationLevel: level, readOnly: false })).toBe(0);
      const options = { isolationLevel: 'serializable', readOnly: true } as never;
      expect(await ask({ ...(options as object), propagation }, options)).toBe(0);
      expect(await ask({ propagation, loggerContext: { label: 'inner' } })).toBe(0);
    },
  );

  it('are refused in what a block joins, and are those of a savepoint', async () => {
    const { NESTED, REQUIRED } = TransactionPropagation;

    await expect(ask({ propagation: REQUIRED, clear: true })).rejects.toThrow('`clear: true`, but joins the one');
    expect(await ask({ propagation: NESTED, clear: true })).toBe(0);
  });

  it('are compared with those of the transaction around a savepoint', async () => {
    const nested = app.factory.begin((session) =>
      session.transactional((em) => em.transactional(() => undefined, { readOnly: true })),
    );

    await expect(nested).rejects.toThrow('`readOnly: true`');
  });

  it('are refused by begin() where the transaction in `ctx` does not have them', async () => {
    const beginWithin = (options: TransactionOptions): Promise<unknown> =>
      app.factory.begin(
        (outer) =>
          app.factory.run(async (session) => {
            await session.begin({ ...options, ctx: outer.getTransactionContext() });
            await session.count(Note);
            await session.commit();
          }),
        { transaction: { isolationLevel: level } },
      );
    const refused = beginWithin({ isolationLevel: 'read uncommitted' });

    await expect(refused).rejects.toThrow(SessionStateError);
    await expect(refused).rejects.toThrow(
      "begin() asks for a transaction with `isolationLevel: 'read uncommitted'`, but joins the one in `ctx`, which has " +
        `\`'${level}'\`. Begin that one with this option, or leave \`ctx\` out.`,
    );
    await expect(beginWithin({ readOnly: true })).rejects.toThrow('`readOnly: true`');
    await expect(beginWithin({ isolationLevel: level, readOnly: false, clear: true })).resolves.toBe(undefined);
  });

  it('are refused where no transaction is begun', async () => {
    for (const propagation of ['supports', 'not_supported', 'never'] as const) {
      await expect(ask({ propagation, readOnly: true })).rejects.toThrow(
        `with the propagation '${propagation}' begins no transaction, so that \`readOnly\` ` +
          'would have no effect. Leave it out, or take another propagation.',
      );
    }
  });

  it('are refused of @Transactional()', async () => {
    const books = app.app.get(Books);

    await expect(app.factory.begin(() => books.decorated())).rejects.toThrow(SessionStateError);
    expect(await app.factory.run(() => books.decorated())).toBe(0);
  });

  it('are compared by @InSession() with what the database gives', async () => {
    const books = app.app.get(Books);
    const calls = {
      'read committed': books.committed,
      'repeatable read': books.repeatable,
      serializable: books.serializable,
    };

    const met: string[] = [];
    for (const [name, call] of Object.entries(calls)) {
      const outcome = await app.factory.begin(() => call.call(books).catch((error: unknown) => error));
      expect(outcome === true || outcome instanceof SessionStateError).toBe(true);
      met.push(...(outcome === true ? [name] : []));
    }

    expect(met).toEqual([level]);
  });
});
