import type { Cell } from './cell.ts';

/** The peers of the library but NestJS and MikroORM. */
const OTHER_PEERS = new Set([
  '@mikro-orm/nestjs',
  '@opentelemetry/api',
  'pg-boss',
  'piscina',
  'reflect-metadata',
  'rxjs',
]);

/** Writes the package.json of the application of a cell. */
export function packagesOf(cell: Cell, tarball: string): object {
  const dependencies = {
    ...nestOf(cell),
    ...mikroOrmOf(cell),
    'nestjs-mikro-session': `file:${tarball}`,
    'reflect-metadata': '^0.2.0',
    rxjs: '^7.8.0',
    ...(cell.isStrict !== true && placesOf(cell)),
  };
  const isLowest = cell.isLowest === true;
  const tools = {
    typescript: cell.typescript ?? '~6.0.3',
    '@types/node': '^24.0.0',
    ...(cell.node !== undefined && { node: cell.node }),
    ...(cell.runtime === 'bun' && { bun: 'latest' }),
    ...buildersOf(cell),
  };
  return {
    name: 'application',
    private: true,
    ...(cell.module !== 'commonjs' && { type: 'module' }),
    dependencies: isLowest ? withLowest(dependencies) : dependencies,
    devDependencies: tools,
    allowScripts: { node: true, bun: true, '@swc/core': true, esbuild: true },
  };
}

function nestOf({ nest = '^12.0.0' }: Cell): Record<string, string> {
  return Object.fromEntries(['common', 'core', 'platform-express'].map((name) => [`@nestjs/${name}`, nest]));
}

/** The places that an application may have, with what they need, and the packages that the library may have. */
function placesOf({ nest = '^12.0.0' }: Cell): Record<string, string> {
  const isOld = nest.includes('11.');
  return {
    ...Object.fromEntries(['microservices', 'platform-ws', 'websockets'].map((name) => [`@nestjs/${name}`, nest])),
    ws: '^8.18.0',
    '@nestjs/schedule': isOld ? '^6.0.0' : '^12.0.0',
    '@nestjs/event-emitter': isOld ? '^3.0.0' : '^12.0.0',
    '@nestjs/graphql': isOld ? '^13.0.0' : '^14.0.0',
    '@nestjs/apollo': isOld ? '^13.0.0' : '^14.0.0',
    '@apollo/server': '^5.0.0',
    '@as-integrations/express5': '^1.1.2',
    express: '^5.0.0',
    graphql: '^16.11.0',
    'pg-boss': '^12.38.0',
    piscina: '^5.3.0',
    '@opentelemetry/api': '^1.9.0',
  };
}

/** Takes the lowest version of each range of the packages that the library itself has to do with. */
function withLowest(dependencies: Record<string, string>): Record<string, string> {
  const lowest = Object.entries(dependencies).map(([name, range]) => [
    name,
    OTHER_PEERS.has(name) ? range.replace('^', '') : range,
  ]);
  return Object.fromEntries(lowest) as Record<string, string>;
}

function mikroOrmOf({ mikroOrm = '7.2.1' }: Cell): Record<string, string> {
  return { '@mikro-orm/core': mikroOrm, '@mikro-orm/postgresql': mikroOrm, '@mikro-orm/nestjs': '^7.1.0' };
}

function buildersOf({ build, nest }: Cell): Record<string, string> {
  const major = nest?.includes('11.') === true ? '^11.0.0' : '^12.0.0';
  const cli = { '@nestjs/cli': major, '@nestjs/schematics': major };
  switch (build) {
    case 'nest':
      return cli;
    case 'nest-swc':
      return { ...cli, '@swc/cli': '^0.8.0', '@swc/core': '^1.16.0' };
    case 'nest-webpack':
      return { ...cli, 'ts-loader': '^9.5.2' };
    case 'esbuild':
      return { esbuild: '^0.28.0' };
    case 'rspack':
      return { '@rspack/core': '^2.3.0' };
    default:
      return {};
  }
}
