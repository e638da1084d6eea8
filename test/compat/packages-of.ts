import type { Cell } from './cell.ts';

/** Writes the package.json of the application of a cell. */
export function packagesOf(cell: Cell, tarball: string): object {
  const dependencies = {
    ...nestOf(cell),
    ...mikroOrmOf(cell),
    'nestjs-mikro-session': `file:${tarball}`,
    'reflect-metadata': '^0.2.2',
    rxjs: '^7.8.2',
  };
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
    dependencies,
    devDependencies: tools,
    allowScripts: { node: true, bun: true, '@swc/core': true, esbuild: true },
  };
}

function nestOf({ nest = '^12.0.0', isStrict = false }: Cell): Record<string, string> {
  const isOld = nest.includes('11.');
  const core = ['common', 'core', 'platform-express'];
  const places = ['microservices', 'platform-ws', 'websockets'];
  const rest = { schedule: isOld ? '^6.0.0' : '^12.0.0', 'event-emitter': isOld ? '^3.0.0' : '^12.0.0' };
  return {
    ...Object.fromEntries([...core, ...(isStrict ? [] : places)].map((name) => [`@nestjs/${name}`, nest])),
    ...(!isStrict && Object.fromEntries(Object.entries(rest).map(([name, range]) => [`@nestjs/${name}`, range]))),
    ...(!isStrict && { ws: '^8.18.0', 'pg-boss': '^12.38.0', piscina: '^5.3.2', '@opentelemetry/api': '^1.9.0' }),
  };
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
