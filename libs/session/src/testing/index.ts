export { SessionTesting } from './session-testing.js';
export type { RunOptions, TestActor, TestActorOptions } from './test-actor.js';
