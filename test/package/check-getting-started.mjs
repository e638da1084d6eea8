// Does what docs/getting-started.md says, as it stands there: an application fresh from the Nest CLI, the packages in the
// newest versions that npm gives, the files, and the requests. Only the package comes from here, and the database.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const guide = readFileSync(join(root, 'docs/getting-started.md'), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'nestjs-mikro-session-started-'));
const app = join(folder, 'app');
const run = (command, args, cwd) => execFileSync(command, args, { cwd, stdio: ['ignore', 'inherit', 'inherit'] });
const findLines = (start) => guide.split('\n').filter((line) => line.startsWith(start));

async function findFreePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Starts the application as the guide does, and gives what it answers to the requests of the guide. */
async function ask(databaseUrl) {
  const port = await findFreePort();
  const server = spawn('npm', ['run', 'start'], {
    cwd: app,
    env: { ...process.env, DATABASE_URL: databaseUrl, PORT: String(port) },
    stdio: ['ignore', 'pipe', 'inherit'],
    // A group of its own, which ends with it.
    detached: true,
  });
  try {
    await untilStarted(server);
    return findLines('curl ').map((line) => {
      const answer = execFileSync('sh', ['-c', line.replace('curl localhost:3000', `curl -sS 127.0.0.1:${port}`)]);
      return JSON.parse(answer.toString());
    });
  } finally {
    const { pid, exitCode } = server;
    if (pid !== undefined && exitCode === null) {
      process.kill(-pid, 'SIGTERM');
      await once(server, 'exit');
    }
  }
}

async function untilStarted(server) {
  let output = '';
  for await (const chunk of server.stdout) {
    output += String(chunk);
    if (output.includes('Nest application successfully started')) {
      server.stdout.resume();
      return;
    }
  }
  throw new Error(`The application of the guide did not start:\n${output}`);
}

try {
  run('npm', ['run', 'build', '--silent'], root);
  run('npm', ['pack', '--silent', '--pack-destination', folder], join(root, 'libs/session'));
  const tarball = join(
    folder,
    readdirSync(folder).find((name) => name.endsWith('.tgz')),
  );
  const packed = execFileSync('tar', ['-tzf', tarball]).toString().split('\n');
  const missing = [
    'README.md',
    'LICENSE',
    'CHANGELOG.md',
    'docs/index.md',
    'docs/troubleshooting.md',
    'docs/places/http.md',
  ].filter((file) => !packed.includes(`package/${file}`));
  if (missing.length > 0) {
    throw new Error(`Expected the package to have ${missing.join(', ')}.`);
  }
  const nest = join(root, 'node_modules/.bin/nest');
  run(nest, ['new', 'app', '--skip-git', '--skip-install', '--package-manager', 'npm'], folder);
  const [install] = findLines('npm install ');
  const quiet = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
  const packages = install.replace(' nestjs-mikro-session ', ` ${tarball} `).split(' ').slice(2);
  run('npm', ['install', ...quiet, ...packages], app);

  const files = [...guide.matchAll(/^`(src\/[\w.-]+)`\n\n```ts\n([^]*?)^```/gm)];
  files.forEach(([, file, code]) => writeFileSync(join(app, file), code));

  const { startEmbeddedPostgres } = await import(join(root, 'dist/postgres/embedded-postgres.js'));
  const postgres = await startEmbeddedPostgres({ folder: join(folder, 'postgres') });
  try {
    const [first, many, all] = await ask(postgres.url);
    const texts = all.map(({ text }) => text).toSorted();
    if (first.text !== 'first' || many.length !== 2 || texts.join() !== 'first,second,third') {
      throw new Error(`Expected three notes, got ${JSON.stringify([first, many, all])}.`);
    }
  } finally {
    await postgres.stop();
  }
  process.stdout.write(`The guide works: ${files.length} files, three notes.\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
