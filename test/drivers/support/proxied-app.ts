import type { TestAppOptions } from '../../support/test-app.js';
import { findMariadbUrl } from '../../support/databases/mariadb-database.js';
import { type CuttingProxy, startCuttingProxy } from './cutting-proxy.js';
import { type DriverApp, startDriverApp } from './driver-app.js';

/** An application that reaches MariaDB through a proxy. */
export interface ProxiedApp extends DriverApp {
  readonly proxy: CuttingProxy;
}

export async function startProxiedApp(orm: TestAppOptions['orm'] = {}): Promise<ProxiedApp> {
  const proxy = await startCuttingProxy(new URL((await findMariadbUrl()) ?? ''));
  const app = await startDriverApp('mariadb', { orm, port: proxy.port });
  return {
    ...app,
    proxy,
    async close() {
      await app.close();
      await proxy[Symbol.asyncDispose]();
    },
  };
}
