import { ConnectionException, DriverException } from '@mikro-orm/core';

import { isDatabaseGone } from '../../src/errors/is-database-gone.js';

const withCode = (code: string): Error => Object.assign(new Error('…'), { code });

describe('isDatabaseGone', () => {
  it.each<[what: string, error: unknown]>([
    ['a refused connection', withCode('ECONNREFUSED')],
    ['a broken connection', withCode('ECONNRESET')],
    ['a server that is shutting down', withCode('57P01')],
    ['a server that has crashed', withCode('57P02')],
    ['a server that is starting', withCode('57P03')],
    ['a server with too many connections', withCode('53300')],
    ['a network that cannot be reached', withCode('ENETUNREACH')],
    ['a connection exception', withCode('08006')],
    ['a connection that ended', new Error('Connection terminated unexpectedly')],
    ['a connection that came too late', new Error('Connection terminated due to connection timeout')],
    ['a wait for a connection that took too long', new Error('timeout exceeded when trying to connect')],
    ['what MikroORM makes of it', new DriverException(withCode('57P01'))],
    ['what MikroORM knows of it', new ConnectionException(withCode('ECONNREFUSED'))],
    ['an error that was caused by it', new Error('…', { cause: withCode('ECONNREFUSED') })],
    ['several addresses that refuse', new AggregateError([withCode('ECONNREFUSED'), withCode('ECONNREFUSED')])],
  ])('is true of %s', (_what, error) => {
    expect(isDatabaseGone(error)).toBe(true);
  });

  it.each<[what: string, error: unknown]>([
    ['a broken constraint', new DriverException(withCode('23505'))],
    ['an error of our own', new Error('Told to fail on 97')],
    ['what is no error', 'ECONNREFUSED'],
    ['nothing', undefined],
  ])('is false of %s', (_what, error) => {
    expect(isDatabaseGone(error)).toBe(false);
  });
});
