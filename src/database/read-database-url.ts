import { parse } from 'pg-connection-string';

/** The address of a database, as options of MikroORM and node-postgres. */
export interface DatabaseAddress {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly dbName: string;
  readonly schema?: string;
  /** The name of the connections, if the URL has one. */
  readonly applicationName: string | undefined;
  /** The parameters of the URL that MikroORM itself does not read. */
  readonly driverOptions: Readonly<Record<string, unknown>>;
}

const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify'] as const;

const TEXTS = ['options', 'client_encoding', 'sslnegotiation', 'fallback_application_name'] as const;

const MILLISECONDS = [
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
  'query_timeout',
] as const;

/**
 * Reads a database URL with its parameters. They have the meaning of PostgreSQL: `sslmode=require` encrypts,
 * `verify-ca` and `verify-full` also check the certificate.
 *
 * @throws {TypeError} for an invalid value, and for a value with which MikroORM would connect without encryption
 */
export function readDatabaseUrl(url: string): DatabaseAddress {
  const parts = read(url);
  const { sslmode, schema, application_name: applicationName, user = '', host, port, password = '' } = parts;
  if (sslmode !== undefined && !SSL_MODES.some((mode) => mode === sslmode)) {
    throw new TypeError(
      `Expected \`sslmode\` of DATABASE_URL to be one of ${SSL_MODES.join(', ')}, got ${JSON.stringify(sslmode)}.`,
    );
  }
  const dbName = parts.database ?? user;
  if (dbName === '') {
    throw new TypeError('Expected DATABASE_URL to name a database: postgres://USER:PASSWORD@HOST:PORT/DATABASE.');
  }
  return {
    host: host ?? '',
    port: Number(port ?? 0),
    user,
    password,
    dbName,
    ...(typeof schema === 'string' && { schema }),
    applicationName,
    driverOptions: toDriverOptions(parts),
  };
}

type Parts = ReturnType<typeof parse>;

function read(url: string): Parts {
  try {
    // The parser refuses the option twice: here and in the URL.
    return parse(url, { useLibpqCompat: !/[?&]uselibpqcompat=/.test(url) });
  } catch (error) {
    // The message does not contain the URL, because the URL has a password.
    throw new TypeError(`DATABASE_URL cannot be read: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

function toDriverOptions(parts: Parts): Record<string, unknown> {
  const ssl = toSsl(parts);
  const { connect_timeout: timeout, channel_binding: binding } = parts;
  const milliseconds = MILLISECONDS.filter((name) => parts[name] !== undefined);
  return {
    ...(ssl !== undefined && { ssl }),
    ...Object.fromEntries(TEXTS.filter((name) => parts[name] !== undefined).map((name) => [name, parts[name]])),
    ...Object.fromEntries(milliseconds.map((name) => [name, toNumber(name, parts[name])])),
    ...(timeout !== undefined && { connectionTimeoutMillis: 1_000 * toNumber('connect_timeout', timeout) }),
    ...(binding !== undefined && { enableChannelBinding: binding !== 'disable' }),
  };
}

function toNumber(name: string, value: unknown): number {
  const number = Number(value);
  if (!(number >= 0) || value === '') {
    throw new TypeError(`Expected \`${name}\` of DATABASE_URL to be a number, got "${String(value)}".`);
  }
  return number;
}

function toSsl({ ssl, sslmode }: Parts): Parts['ssl'] {
  if (sslmode === 'no-verify' && typeof ssl === 'object') {
    return { ...ssl, rejectUnauthorized: false };
  }
  switch (ssl) {
    case 'no-verify':
      return { rejectUnauthorized: false };
    case 'false':
      return false;
    default:
      break;
  }
  if (typeof ssl === 'string') {
    throw new TypeError(`Expected \`ssl\` of DATABASE_URL to be true, false or no-verify, got "${ssl}".`);
  }
  return ssl;
}
