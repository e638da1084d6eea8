import { createRequire } from 'node:module';

const { version } = createRequire(import.meta.url)('@nestjs/core/package.json') as { readonly version: string };

/** Whether NestJS answers with what a generator yields: 12 was the first. */
export const streamsGenerators = Number(version.split('.')[0]) >= 12;

if (!streamsGenerators) {
  process.stderr.write(`Answers of generators are not tested: NestJS ${version} has none.\n`);
}
