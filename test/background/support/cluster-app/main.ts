import cluster from 'node:cluster';

import { NestFactory } from '@nestjs/core';

import { AppModule } from './app.module.js';

if (cluster.isPrimary) {
  cluster.fork();
  cluster.fork();
  process.once('SIGTERM', () => Object.values(cluster.workers ?? {}).forEach((worker) => worker?.kill('SIGTERM')));
} else {
  const app = await NestFactory.create(AppModule);
  app.enableShutdownHooks();
  await app.listen(Number(process.env['PORT']), '127.0.0.1');
  process.stdout.write(`${process.pid} listens at ${await app.getUrl()}.\n`);
}
