import { getMikroORMToken } from '@mikro-orm/nestjs';
import { MikroORM } from '@mikro-orm/postgresql';
import { type DynamicModule, Global, Inject, Module, type OnApplicationShutdown } from '@nestjs/common';

import { Instance } from '../runs/instance.js';
import { ormOptions } from '../database/orm-options.js';
import { SMALL_POOL, SMALL_POOL_SIZE } from './small-pool.js';

const ORM = getMikroORMToken(SMALL_POOL);

/**
 * A second connection to the same database, with a small pool. It is not made by MikroOrmModule, which registers a name
 * once per process, while there may be several applications.
 */
@Global()
@Module({})
export class SmallPoolModule implements OnApplicationShutdown {
  static forRoot(databaseUrl: string): DynamicModule {
    const connect = (instance: Instance): Promise<MikroORM> =>
      MikroORM.init({
        ...ormOptions(databaseUrl, instance),
        contextName: SMALL_POOL,
        pool: { min: 0, max: SMALL_POOL_SIZE },
      });
    return {
      module: SmallPoolModule,
      providers: [{ provide: ORM, inject: [Instance], useFactory: connect }],
      exports: [ORM],
    };
  }

  constructor(@Inject(ORM) private readonly orm: MikroORM) {}

  onApplicationShutdown(): Promise<void> {
    return this.orm.close();
  }
}
