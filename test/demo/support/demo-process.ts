import { join } from 'node:path';

import { NodeProcess } from '../../support/node-process.js';
import { JobsClient } from './jobs-client.js';

export interface DemoProcessOptions {
  /** @default the web server */
  readonly program?: 'main.js' | 'worker/main.js';
  /** The command that starts it. @default Node */
  readonly launcher?: readonly [string, ...string[]];
}

/** The demo as a process of its own, with an embedded database of its own. */
export class DemoProcess extends NodeProcess {
  constructor(
    folder: string,
    env: Readonly<Record<string, string>>,
    { program = 'main.js', launcher }: DemoProcessOptions = {},
  ) {
    super(join(folder, 'dist', program), { PORT: '0', ...env }, launcher);
  }

  /** Waits until the demo says where it listens. */
  async listening(): Promise<JobsClient> {
    await this.says('Listening on ');
    const url = /^Listening on (\S+)/m.exec(this.output)?.[1];
    return new JobsClient(url ?? '');
  }
}
