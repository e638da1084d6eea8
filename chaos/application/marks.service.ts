import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { InjectSession, InSession } from 'nestjs-mikro-session';

import { Mark } from './mark.entity.js';

/** A provider below the controller, with the session of the request. */
@Injectable()
export class MarksService {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  @InSession({ transaction: true })
  async inSession(key: string): Promise<void> {
    this.session.create(Mark, { key, source: 'in-session' });
    await this.session.execute('select 1');
  }
}
