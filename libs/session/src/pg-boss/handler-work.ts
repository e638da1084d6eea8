import type { EntityManager } from '@mikro-orm/core';

import type { PieceWork } from '../jobs/piece-work.js';
import type { SessionSource } from '../session/session-source.js';

/** The work of the handler of a queue. */
export interface HandlerWork<Em extends EntityManager> {
  readonly source: SessionSource<Em>;
  readonly queue: string;
  readonly chunkSize: number;
  readonly work: PieceWork<Em, unknown, unknown>;
}
