import { NestFactory } from '@nestjs/core';

import { say } from './effect-handler.js';
import { WorkerModule } from './worker.module.js';
import type { WorkerSettings } from './worker-settings.js';

const settings = JSON.parse(process.env['WORKER'] ?? '') as WorkerSettings;
const app = await NestFactory.createApplicationContext(WorkerModule.for(settings), { logger: ['warn', 'error'] });
app.enableShutdownHooks();
say('working');
