import 'reflect-metadata';

import type { ThreadApplication } from 'nestjs-mikro-session';

import { startOurs } from './applications.ts';
import { ComputeWorker } from './compute.ts';

const createApplication: ThreadApplication<string> = (databaseUrl) =>
  startOurs(databaseUrl, { injection: 'contextual', providers: [ComputeWorker] });

export default createApplication;
