/** @module nestjs-mikro-session/testing */
export type { OwnDatabase, OwnDatabaseOptions } from './database/own-database.js';
export type { Drained, DrainedAttempt, DrainOptions, LeftJob } from './drain/drained.js';
export { SessionTesting } from './session-testing.js';
export type { RunOptions, TestActor, TestActorOptions } from './test-actor.js';
