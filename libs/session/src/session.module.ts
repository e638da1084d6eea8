import { ConfigurableModuleBuilder, type DynamicModule, Module } from '@nestjs/common';

import { announceCopy, warnOfCopies } from './nest/warn-of-copies.js';
import { assertAsyncOptions, assertModuleOptions } from './nest/assert-module-options.js';
import type {
  SessionModuleExtras,
  SessionModuleOptions,
  SessionOptionsFactory,
} from './nest/session-module-options.js';
import { SessionCoreModule } from './session-core.module.js';
import { createSessionProviders } from './session.providers.js';

announceCopy(import.meta.url);

const extras: Required<SessionModuleExtras> = { contextName: undefined, isGlobal: true, injection: 'request' };

const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN, OPTIONS_TYPE, ASYNC_OPTIONS_TYPE } =
  new ConfigurableModuleBuilder<SessionModuleOptions>({ moduleName: 'Session' })
    .setClassMethodName('forRoot')
    .setFactoryMethodName('createSessionOptions' satisfies keyof SessionOptionsFactory)
    .setExtras(extras, addConnection)
    .build();

/**
 * Gives every request and job a MikroORM session of its own. Import it once per connection, beside
 * `MikroOrmModule.forRoot()`; without options it serves the default connection.
 *
 * @example
 * imports: [MikroOrmModule.forRoot({ ... }), SessionModule.forRoot()]
 */
@Module({ imports: [SessionCoreModule] })
export class SessionModule extends ConfigurableModuleClass {
  /** Takes the options themselves. */
  static override forRoot(options: typeof OPTIONS_TYPE = {}): DynamicModule {
    warnOfCopies();
    assertModuleOptions(options);
    return super.forRoot(options);
  }

  /**
   * Takes the options from `useFactory`, `useClass` or `useExisting`; the extras (`contextName`, `isGlobal`,
   * `injection`) stand beside it.
   */
  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    warnOfCopies();
    assertAsyncOptions(options);
    return super.forRootAsync(options);
  }
}

function addConnection(definition: DynamicModule, chosen: Required<SessionModuleExtras>): DynamicModule {
  const { providers, exports } = createSessionProviders(chosen, MODULE_OPTIONS_TOKEN);
  return {
    ...definition,
    global: chosen.isGlobal,
    providers: [...(definition.providers ?? []), ...providers],
    exports,
  };
}
