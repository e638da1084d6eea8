import { Client, type QueryResultRow } from 'pg';

/** Looks at a database from outside, past the faults of the network. The server may be taken away meanwhile. */
export class Observer {
  readonly #url: string;
  #client: Promise<Client> | undefined;

  constructor(url: string) {
    this.#url = url;
  }

  async query<Row extends QueryResultRow>(sql: string, values: unknown[] = []): Promise<Row[]> {
    this.#client ??= this.#connect();
    try {
      return (await (await this.#client).query<Row>(sql, values)).rows;
    } catch (error) {
      // The next query connects anew.
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    const client = await this.#client?.catch(() => undefined);
    this.#client = undefined;
    await client?.end().catch(() => undefined);
  }

  #connect(): Promise<Client> {
    const connecting = connect(this.#url);
    const forget = (): void => {
      if (this.#client === connecting) {
        this.#client = undefined;
      }
    };
    // A restart of the server ends a connection that nobody uses, too. The next query connects anew.
    connecting.then((client) => client.once('end', forget), forget);
    return connecting;
  }
}

async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url, application_name: 'chaos observer' });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}
