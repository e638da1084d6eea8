export { type RunOptions, SessionTesting } from './session-testing.js';
export type { TestActor, TestActorOptions } from './test-actor.js';
