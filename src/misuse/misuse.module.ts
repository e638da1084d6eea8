import { type DynamicModule, Module } from '@nestjs/common';
import { SessionModule } from 'nestjs-mikro-session';

import { MisuseController } from './misuse.controller.js';
import { Misuses } from './misuses.js';
import { SMALL_POOL } from './small-pool.js';
import { SmallPoolModule } from './small-pool.module.js';

/** Misuses to try out, with a small pool of their own that can be filled without harm. */
@Module({})
export class MisuseModule {
  static forRoot(databaseUrl: string): DynamicModule {
    return {
      module: MisuseModule,
      imports: [SmallPoolModule.forRoot(databaseUrl), SessionModule.forRoot({ contextName: SMALL_POOL })],
      controllers: [MisuseController],
      providers: [Misuses],
    };
  }
}
