import type { Configuration, EntityManager, EventManager, IDatabaseDriver, MetadataStorage } from '@mikro-orm/core';

export type EntityManagerClass = new (
  config: Configuration,
  driver: IDatabaseDriver,
  metadata: MetadataStorage,
  useContext?: boolean,
  eventManager?: EventManager,
) => EntityManager;
