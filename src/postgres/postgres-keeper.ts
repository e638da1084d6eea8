// A process of its own, started by embedded-postgres.ts: it starts one PostgreSQL server, and ends it when its parent
// hangs up, which the kernel does for a parent that was killed. It imports no file of ours, so that Node runs the
// TypeScript source as it is.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { cp } from 'node:fs/promises';
import { createServer } from 'node:net';
import { arch, devNull, platform, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { Client } from 'pg';

export interface KeeperOptions {
  /** Where data and log live. Made if need be. */
  readonly folder: string;
  /** Server settings, as in postgresql.conf. */
  readonly settings?: Readonly<Record<string, string>>;
  /** How many milliseconds to wait for a former server that is still stopping. @default 10,000 */
  readonly patience?: number;
  /** Whether the server ends no sooner than the last of those who have joined it: see join-postgres.ts. @default false */
  readonly isShared?: boolean;
}

/** The last says that the server goes on, as others use it. */
export type KeeperMessage =
  | { readonly url: string }
  | { readonly error: string; readonly isInUse?: boolean }
  | { readonly isUsed: true };

interface Owner {
  readonly uid?: number;
  readonly gid?: number;
}

interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
}

interface Place {
  readonly binaries: Binaries;
  readonly folder: string;
  readonly owner: Owner;
}

class InUseError extends Error {}

interface Former {
  readonly password: string;
  readonly deadline: number;
  /** Who can join a server does not wait for its end. */
  readonly isShared: boolean;
}

const PATIENCE_MS = 10_000;
const POLL_MS = 20;

async function main(): Promise<void> {
  const [options] = (await once(process, 'message')) as [KeeperOptions];
  let server: ChildProcess | undefined;
  let users: Client | undefined;
  const end = Promise.race([once(process, 'disconnect'), once(process, 'message')]);
  try {
    const place = await findPlace(options.folder);
    const password = prepare(place);
    const deadline = Date.now() + (options.patience ?? PATIENCE_MS);
    let port: number;
    do {
      await endFormerServer(place, { password, deadline, isShared: options.isShared ?? false });
      port = await findFreePort();
      server = await startServer(place, port, options.settings ?? {});
    } while (server === undefined);
    const url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
    users = options.isShared === true ? await connect(url) : undefined;
    answer({ url });
  } catch (error) {
    answer({
      error: error instanceof Error ? error.message : String(error),
      isInUse: error instanceof InUseError,
    });
    hangUp();
  }
  await end;
  if (users !== undefined) {
    await untilUnused(users);
  }
  await endServer(server);
  hangUp();
}

function hangUp(): void {
  if (process.connected) {
    process.disconnect();
  }
}

function answer(message: KeeperMessage): void {
  if (process.connected) {
    // Who is killed meanwhile needs no answer.
    process.send?.(message, () => undefined);
  }
}

/** At the start, as the users can take all connections later. */
async function connect(url: string): Promise<Client> {
  const client = new Client(url);
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** From then on nobody can join: the lock is kept until the server ends. */
async function untilUnused(client: Client): Promise<void> {
  try {
    if (await isUnused(client)) {
      return;
    }
    answer({ isUsed: true });
    // Or whoever reads what the starter of this process writes would wait for this process, too.
    closeSync(2);
    openSync(devNull, 'w');
    while (!(await isUnused(client))) {
      await pause(POLL_MS);
    }
  } catch {
    // Nobody can use a server that is gone.
  }
}

async function isUnused(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ is: boolean }>(
    `select pg_try_advisory_lock(hashtext('users of the embedded server')) as is`,
  );
  return rows[0]?.is === true;
}

/** PostgreSQL refuses to run as root. As root it runs as `nobody`, from a place that `nobody` can reach. */
async function findPlace(wanted: string): Promise<Place> {
  const binaries = (await import(`@embedded-postgres/${platform()}-${arch()}`)) as Binaries;
  mkdirSync(wanted, { recursive: true });
  const folder = realpathSync(wanted);
  if (process.getuid?.() !== 0) {
    return { binaries, folder, owner: {} };
  }
  const owner = { uid: idOf('-u'), gid: idOf('-g') };
  const canReach = (path: string): boolean => spawnSync('test', ['-x', path], owner).status === 0;
  if (canReach(folder) && canReach(binaries.postgres)) {
    return { binaries, folder, owner };
  }
  const elsewhere = join(
    tmpdir(),
    `embedded-postgres-${createHash('sha256').update(folder).digest('hex').slice(0, 12)}`,
  );
  mkdirSync(elsewhere, { recursive: true });
  if (statSync(elsewhere).uid !== process.getuid()) {
    throw new Error(`The folder "${elsewhere}" belongs to another user. Remove it, or set DATABASE_URL.`);
  }
  const native = join(elsewhere, 'native');
  if (!existsSync(native)) {
    const copy = `${native}.${process.pid}`;
    await cp(dirname(dirname(binaries.postgres)), copy, { recursive: true, verbatimSymlinks: true });
    putInPlace(copy, native);
  }
  return {
    binaries: { initdb: join(native, 'bin', 'initdb'), postgres: join(native, 'bin', 'postgres') },
    folder: elsewhere,
    owner,
  };
}

function idOf(flag: '-u' | '-g'): number {
  return Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }));
}

/**
 * Makes the data folder on first use: beside its place, so that what is there is whole, whoever is killed meanwhile or
 * does the same. Gives the password of the user `postgres`, which lies within.
 */
function prepare({ binaries, folder, owner }: Place): string {
  const data = join(folder, 'data');
  const passwordFile = join(data, 'password');
  if (existsSync(data)) {
    if (existsSync(passwordFile)) {
      return readFileSync(passwordFile, 'utf8');
    }
    throw new Error(
      `The folder "${data}" was not made by this program. Remove it, or set POSTGRES_FOLDER to another folder.`,
    );
  }
  removeLeftovers(folder);
  const draft = join(folder, `draft.${process.pid}`);
  const draftData = join(draft, 'data');
  const draftPassword = join(draft, 'password');
  mkdirSync(draftData, { mode: 0o700, recursive: true });
  chmodSync(draft, 0o755);
  writeFileSync(draftPassword, randomBytes(16).toString('hex'), { mode: 0o600 });
  if (owner.uid !== undefined && owner.gid !== undefined) {
    chownSync(draftData, owner.uid, owner.gid);
    chownSync(draftPassword, owner.uid, owner.gid);
  }
  const flags = ['--username=postgres', '--auth=scram-sha-256', '--encoding=UTF8', '--no-locale', '--no-instructions'];
  const { status, stderr, error } = spawnSync(
    binaries.initdb,
    [`--pgdata=${draftData}`, `--pwfile=${draftPassword}`, ...flags],
    { ...owner, cwd: folder, encoding: 'utf8', env: environment() },
  );
  if (status === 0) {
    renameSync(draftPassword, join(draftData, 'password'));
    putInPlace(draftData, data);
  }
  rmSync(draft, { recursive: true, force: true });
  if (status !== 0) {
    throw new Error(`initdb failed in "${folder}": ${error?.message ?? stderr}`);
  }
  return readFileSync(passwordFile, 'utf8');
}

/** Leaves what is there when somebody else was faster. */
function putInPlace(draft: string, target: string): void {
  try {
    renameSync(draft, target);
  } catch (error) {
    if (!existsSync(target)) {
      throw error;
    }
    rmSync(draft, { recursive: true });
  }
}

/** Drafts of keepers that were killed. */
function removeLeftovers(folder: string): void {
  for (const name of readdirSync(folder)) {
    const pid = /^draft\.(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) {
      rmSync(join(folder, name), { recursive: true, force: true });
    }
  }
}

/** Waits for a server that is still stopping, and ends one whose keeper was killed. */
async function endFormerServer({ folder }: Place, { password, deadline, isShared }: Former): Promise<void> {
  const data = join(folder, 'data');
  const pidFile = join(data, 'postmaster.pid');
  let keeper: number | undefined;
  while (existsSync(pidFile)) {
    const [pid, , , port] = readFileSync(pidFile, 'utf8').split('\n').map(Number);
    if (pid === undefined || !isAlive(pid)) {
      return;
    }
    if (!isServerOf(data, pid)) {
      rmSync(pidFile, { force: true });
      return;
    }
    keeper = (await askForKeeper(port, password)) ?? keeper;
    if (keeper !== undefined && !isAlive(keeper)) {
      process.kill(pid, 'SIGINT');
      await untilGone(pid, deadline);
      return;
    }
    if (Date.now() > deadline || (isShared && keeper !== undefined)) {
      throw new InUseError(
        `The PostgreSQL server in "${folder}" is in use by another process (its keeper is ${keeper ?? 'unknown'}). ` +
          'Stop that one first, or set DATABASE_URL to use a server of your own.',
      );
    }
    await pause(POLL_MS);
  }
}

/** After a restart of the machine or of a container somebody else may have the process id. */
function isServerOf(data: string, pid: number): boolean {
  const args = existsSync('/proc/self/cmdline')
    ? readIfThere(`/proc/${pid}/cmdline`)
    : spawnSync('ps', ['-ww', '-o', 'args=', '-p', String(pid)], { encoding: 'utf8' }).stdout;
  return args?.includes(data) ?? false;
}

/** Gives the process id of the keeper of a server, or `undefined` while the server does not answer. */
async function askForKeeper(port: number | undefined, password: string): Promise<number | undefined> {
  const client = new Client({ host: '127.0.0.1', port, user: 'postgres', password, database: 'postgres' });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ keeper: string | null }>(`select current_setting('keeper.pid', true) keeper`);
    return Number(rows[0]?.keeper ?? 0);
  } catch {
    // It is starting or stopping: the caller asks again until the deadline.
    return undefined;
  } finally {
    await client.end();
  }
}

async function untilGone(pid: number, deadline: number): Promise<void> {
  while (isAlive(pid)) {
    if (Date.now() > deadline) {
      throw new Error(`The former PostgreSQL server, process ${pid}, does not end.`);
    }
    await pause(POLL_MS);
  }
}

function isAlive(pid: number): boolean {
  if (!(pid > 0)) {
    return false;
  }
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function readIfThere(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

async function findFreePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** Gives nothing when somebody else was faster. */
async function startServer(
  { binaries, folder, owner }: Place,
  port: number,
  settings: Readonly<Record<string, string>>,
): Promise<ChildProcess | undefined> {
  const fixed = { listen_addresses: '127.0.0.1', unix_socket_directories: '', 'keeper.pid': String(process.pid) };
  const all = { ...fixed, ...settings };
  const logFile = join(folder, 'server.log');
  const log = openSync(logFile, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_APPEND, 0o600);
  const data = join(folder, 'data');
  const server = spawn(
    binaries.postgres,
    ['-D', data, '-p', String(port), ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    { ...owner, cwd: folder, env: environment(), stdio: ['ignore', log, log] },
  );
  const failed = once(server, 'error').then(([error]: unknown[]) => {
    throw error;
  });
  const isReady = await Promise.race([untilReady(server, join(data, 'postmaster.pid')), failed]);
  if (isReady) {
    return server;
  }
  const pid = Number.parseInt(readIfThere(join(data, 'postmaster.pid')) ?? '', 10);
  if (isAlive(pid) && isServerOf(data, pid)) {
    return undefined;
  }
  throw new Error(`PostgreSQL did not start. Its log says:\n${readFileSync(logFile, 'utf8')}`);
}

/** The eighth line of postmaster.pid tells the state, as it does to pg_ctl. Gives `false` when the server has ended. */
async function untilReady(server: ChildProcess, pidFile: string): Promise<boolean> {
  while (server.exitCode === null && server.signalCode === null) {
    const lines = (readIfThere(pidFile) ?? '').split('\n');
    if (Number(lines[0]) === server.pid && lines[7]?.trim() === 'ready') {
      return true;
    }
    await pause(POLL_MS);
  }
  return false;
}

/** Asks for a fast shutdown: open transactions are rolled back, clients are sent away. */
async function endServer(server: ChildProcess | undefined): Promise<void> {
  if (server === undefined || server.exitCode !== null || server.signalCode !== null) {
    return;
  }
  const ended = once(server, 'exit');
  server.kill('SIGINT');
  await ended;
}

function environment(): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: 'C' };
}

// Ends by hanging up alone: what stops a whole terminal session must not stop the server before its clients.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => undefined);
}
await main();
