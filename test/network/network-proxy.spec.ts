import { Client } from 'pg';

import { NetworkProxy } from '../support/network-proxy.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

/** The driver is told of a reset while it reads or while it writes. */
const LOST = /ECONNRESET|EPIPE|Connection terminated/;

describe('NetworkProxy', () => {
  let database: TestDatabase;
  let network: NetworkProxy;
  let client: Client;

  beforeAll(async () => {
    database = await createTestDatabase();
    await database.query('create table entry (text text)');
  });

  beforeEach(async () => {
    network = await NetworkProxy.start(database.url);
    client = new Client({ connectionString: network.url });
    client.on('error', () => undefined);
    await client.connect();
  });

  afterEach(async () => {
    await Promise.race([client.end(), network.close()]);
    await network.close();
    await database.query('delete from entry');
  });

  afterAll(() => database.drop());

  const countRows = async (): Promise<number> => (await database.query('select * from entry')).length;

  it('passes all on and counts the round trips', async () => {
    const before = network.answers;

    const { rows } = await client.query('select 1 as one');
    await client.query('select $1::int as two', [2]);

    expect(rows).toEqual([{ one: 1 }]);
    expect(network.answers - before).toBe(2);
    expect(network.connections).toBe(1);
  });

  it('cuts before the server has a statement', async () => {
    const cut = network.once('statement', /^insert/, (link) => link.cut());

    await expect(client.query(`insert into entry values ('a')`)).rejects.toThrow(LOST);
    await cut;

    expect(await countRows()).toBe(0);
  });

  it('cuts after the server has done a statement, before its answer passes', async () => {
    const cut = network.once('answer', /^insert/, (link) => link.cut());

    await expect(client.query(`insert into entry values ('a')`)).rejects.toThrow(LOST);
    await cut;

    expect(await countRows()).toBe(1);
  });

  it('ends a connection in good order in the middle of an answer', async () => {
    const closed = network.once('answer', /^select/, (link) => {
      link.passHalf();
      link.halfClose();
    });

    await expect(client.query('select 1')).rejects.toThrow('Connection terminated unexpectedly');
    await closed;
  });

  it('holds a statement for as long as a test wants', async () => {
    const isFree = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    void network.once('statement', /^insert/, () => {
      held.resolve();
      return isFree.promise;
    });

    const insert = client.query(`insert into entry values ('a')`);
    await held.promise;
    const before = await countRows();
    isFree.resolve();
    await insert;

    expect([before, await countRows()]).toEqual([0, 1]);
  });

  it('swallows all that is sent, and serves new connections when it is healed', async () => {
    network.swallow();
    let isAnswered = false;
    const ended = client.query('select 1').then(
      () => (isAnswered = true),
      () => undefined,
    );
    const late = new Client({ connectionString: network.url, connectionTimeoutMillis: 100 });
    await expect(late.connect()).rejects.toThrow('timeout');

    await network.heal();
    const next = new Client({ connectionString: network.url });
    await next.connect();
    await next.query('select 1');
    await next.end();

    expect(isAnswered).toBe(false);
    network.cut();
    await ended;
  });

  it('swallows the answers alone', async () => {
    const sent = network.once('statement', /^insert/);
    network.swallow('answers');

    const insert = client.query(`insert into entry values ('a')`);
    await sent;
    await database.until('select count(*) = 1 from entry');
    network.cut();

    await expect(insert).rejects.toThrow(LOST);
  });

  it('refuses new connections until it accepts them again', async () => {
    network.refuse();
    await expect(new Client({ connectionString: network.url }).connect()).rejects.toThrow('ECONNREFUSED');
    await client.query('select 1');

    await network.accept();
    const next = new Client({ connectionString: network.url });
    await next.connect();
    await next.end();

    expect(network.connections).toBe(2);
  });
});
