import type { MikroORM } from '@mikro-orm/core';
import { Logger } from '@nestjs/common';

import { readProperty } from '../read-property.js';

/** The address options of a connection or of a read replica. */
interface Place {
  readonly clientUrl?: string | undefined;
  readonly driverOptions?: unknown;
}

/** The parameters that the option `ssl` of node-postgres replaces. */
const OF_SSL = /^(?:ssl|channel_binding$|uselibpqcompat$)/;
/** The names of parameters. Another name means that a character of the password has broken the URL. */
const NAME = /^[\w.-]+$/;
/** Parameters that have their effect without being read. */
const IN_CLEAR_TEXT = /^(?:sslmode=disable|ssl=(?:false|0))$/;

/** Warns of parameters in the URL of a connection that MikroORM silently drops. */
export function warnOfLostParameters({ config, em }: MikroORM, driverOptions: unknown): void {
  const replicas: readonly Place[] = config.get('replicas') ?? [];
  const places = [{ clientUrl: config.get('clientUrl') }, ...replicas].map((place) => ({ driverOptions, ...place }));
  const lost = [...new Set(places.flatMap((place) => findLost(place)))];
  if (lost.length > 0) {
    const isUnsafe = lost.some((name) => OF_SSL.test(name));
    new Logger('Session').warn(
      `MikroORM does not read ${lost.map((name) => `"${name}"`).join(', ')} in the clientUrl of the connection ` +
        `"${em.name}"${isUnsafe ? ', so that it may send everything in clear text' : ''}. Set it in driverOptions, as ` +
        `node-postgres calls it${isUnsafe ? ': `driverOptions: { ssl: true }`' : ''}, or leave it out of the URL.`,
    );
  }
}

function findLost({ clientUrl, driverOptions }: Place): string[] {
  const url = URL.parse(clientUrl ?? '');
  // If `driverOptions` have a URL, node-postgres reads all of its parameters.
  if (url === null || !/^postgres(?:ql)?:$/.test(url.protocol) || isGiven(driverOptions, 'connectionString')) {
    return [];
  }
  const parameters = [...url.searchParams];
  if (!parameters.every(([name]) => NAME.test(name))) {
    return [];
  }
  return parameters
    .filter(([name, value]) => name !== 'schema' && !IN_CLEAR_TEXT.test(`${name}=${value}`))
    .map(([name]) => name)
    .filter((name) => !isGiven(driverOptions, OF_SSL.test(name) ? 'ssl' : name));
}

function isGiven(driverOptions: unknown, name: string): boolean {
  return readProperty(driverOptions, name) !== undefined;
}
