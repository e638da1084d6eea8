import { join } from 'node:path';

import { NodeProcess } from '../../support/node-process.js';
import { JobsClient } from './jobs-client.js';

/** The demo as a process of its own, with an embedded database of its own. */
export class DemoProcess extends NodeProcess {
  constructor(folder: string, env: Readonly<Record<string, string>>, command?: readonly [string, ...string[]]) {
    super(join(folder, 'dist', 'main.js'), { PORT: '0', ...env }, command);
  }

  /** Waits until the demo says where it listens. */
  async listening(): Promise<JobsClient> {
    await this.says('Listening on ');
    const url = /^Listening on (\S+)/m.exec(this.output)?.[1];
    return new JobsClient(url ?? '');
  }
}
