import type { Cell } from './cell.ts';
import { findNearestVersion } from './nearest-version.ts';

export interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

/** The packages of NestJS that have the number of NestJS itself. */
const OF_NEST = /^@nestjs\/(common|core|microservices|platform-.*|testing|websockets)$/;

/** What is for NestJS 11 of the others whose major number is another one. */
const FOR_NEST_11: Readonly<Record<string, string>> = {
  '@nestjs/apollo': '^13.0.0',
  '@nestjs/event-emitter': '^3.0.0',
  '@nestjs/graphql': '^13.0.0',
  '@nestjs/mercurius': '^13.0.0',
  '@nestjs/schedule': '^6.0.0',
};

/** The clients of NATS and Kafka that NestJS 11 takes. */
const OF_NEST_11: Readonly<Record<string, string>> = { nats: '^2.0.0', kafkajs: '^2.0.0' };

const OF_MIKRO_ORM = /^@mikro-orm\/(?!nestjs$)/;

/**
 * Writes the package.json of this project for other versions of its packages. All others have the version that is
 * installed here, so that what fails is due to the versions of the cell.
 *
 * @param findVersion returns the installed version of a package
 */
export async function toSuiteManifest(
  manifest: Manifest,
  cell: Cell,
  findVersion: (name: string) => string | undefined,
): Promise<Manifest> {
  const change = async (ranges: Readonly<Record<string, string>>): Promise<Record<string, string>> => {
    const changed = Object.entries(ranges).map(async ([name, range]) => [
      name,
      (await rangeOf(name, cell)) ?? findVersion(name) ?? range,
    ]);
    return Object.fromEntries(await Promise.all(changed)) as Record<string, string>;
  };
  const own = await change(manifest.devDependencies);
  return {
    ...manifest,
    dependencies: await change(manifest.dependencies),
    devDependencies: cell.nest === undefined ? own : { ...own, ...OF_NEST_11 },
  };
}

async function rangeOf(name: string, { nest, mikroOrm }: Cell): Promise<string | undefined> {
  if (nest !== undefined && name.startsWith('@nestjs/')) {
    return OF_NEST.test(name) ? nest : (FOR_NEST_11[name] ?? '^11.0.0');
  }
  return mikroOrm !== undefined && OF_MIKRO_ORM.test(name) ? findNearestVersion(name, mikroOrm) : undefined;
}
