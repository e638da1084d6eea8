/** The methods of a connection that send nothing, end something, are steps of others, or hand out what is checked. */
const UNCHECKED: ReadonlySet<string> = new Set([
  'applyRoutineOutParams',
  'applySessionContext',
  'buildConnectionSessionStatements',
  'callRoutineFunction',
  'checkConnection',
  'close',
  'commit',
  'composeSessionContextOnReserve',
  'connect',
  'constructor',
  'convertRoutineInbound',
  'convertRoutineOutbound',
  'createKysely',
  'createKyselyDialect',
  'ensureConnection',
  'executeQuery',
  'fetchRefcursors',
  'getClient',
  'getConnectionOptions',
  'getPlatform',
  'getSql',
  'handlePoolErrors',
  'initClient',
  'isConnected',
  'logQuery',
  'mapOptions',
  'onConnect',
  'prepareQuery',
  'requireNativeClient',
  'rollback',
  'setMetadata',
  'setPlatform',
  'stringifySessionVariable',
  'transformRawResult',
  'waitForIdleTransaction',
]);

/**
 * Calls the other methods of a connection, and gives the codes of their errors. They are read from its classes, so that a
 * new release of MikroORM slips none past the tests.
 */
export async function callMethods(connection: object): Promise<string[]> {
  const names = namesOf(connection).filter((name) => !UNCHECKED.has(name));
  const answers = await Promise.all(names.map(async (name) => `${name}: ${await call(connection, name)}`));
  return answers.toSorted();
}

function namesOf(connection: object): string[] {
  const names = new Set<string>();
  for (let owner = prototypeOf(connection); owner !== Object.prototype; owner = prototypeOf(owner)) {
    Object.getOwnPropertyNames(owner).forEach((name) => names.add(name));
  }
  return [...names];
}

function prototypeOf(value: object): object {
  return Object.getPrototypeOf(value) as object;
}

async function call(connection: object, name: string): Promise<string> {
  const methods = connection as Record<string, (sql: string) => unknown>;
  try {
    const result = (await methods[name]?.('select 1')) as Partial<AsyncIterator<unknown>> | undefined;
    await result?.next?.();
    return 'answered';
  } catch (error) {
    return String((error as { readonly code?: unknown }).code);
  }
}
