import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * The specs that start a process or a thread, look at the memory of their own process or take very long, the longest
 * first. Each of them is a test file of its own.
 */
const longSpecs: readonly string[] = [
  'test/chaos.spec.ts',
  'test/demo/worker.spec.ts',
  'test/demo/build.spec.ts',
  'test/threads/trouble.spec.ts',
  'test/properties/contextual-programs.spec.ts',
  'test/properties/request-programs.spec.ts',
  'test/queue/killed-worker.spec.ts',
  'test/queue/culprit.spec.ts',
  'test/queue/shutdown.spec.ts',
  'test/demo/main.spec.ts',
  'test/queue/frozen-worker.spec.ts',
  'test/queue/database-restart.spec.ts',
  'test/demo/page.spec.ts',
  'test/queue/frozen-at-completion.spec.ts',
  'test/inspector/crowd-page.spec.ts',
  'test/inspector/page.spec.ts',
  'test/inspector/proxy.spec.ts',
  'test/jobs/failing-chunks.spec.ts',
  'test/queue/sent-from-tasks.spec.ts',
  'test/threads/strange-errors.spec.ts',
  'test/demo/cli.spec.ts',
  'test/threads/threads.spec.ts',
  'test/demo/large-numbers.spec.ts',
  'test/demo/embedded-postgres.spec.ts',
  'test/threads/outcomes.spec.ts',
  'test/drivers/threads.spec.ts',
  'test/demo/validation.spec.ts',
  'test/background/cluster.spec.ts',
];

/** The specs that take their time in the nature of the thing. */
const tediousSpecs: readonly string[] = [
  'test/background/bullmq.spec.ts',
  'test/demo/database-gone.spec.ts',
  'test/demo/database-url.spec.ts',
  'test/demo/migrations.spec.ts',
  'test/demo/overload.spec.ts',
  'test/demo/queue-restart.spec.ts',
  'test/demo/queue-runs.spec.ts',
  'test/demo/restart.spec.ts',
  'test/demo/run-events.spec.ts',
  'test/demo/runs.spec.ts',
  'test/demo/security-headers.spec.ts',
  'test/docs/examples.spec.ts',
  'test/drivers/mariadb.spec.ts',
  'test/drivers/programs.spec.ts',
  'test/drivers/rules.spec.ts',
  'test/graphql/apart.spec.ts',
  'test/graphql/apollo.spec.ts',
  'test/graphql/end-of-operation.spec.ts',
  'test/graphql/mercurius.spec.ts',
  'test/graphql/operation.spec.ts',
  'test/graphql/subscription.spec.ts',
  'test/http/end-of-request.spec.ts',
  'test/http/exception-filter.spec.ts',
  'test/http/inject-session.spec.ts',
  'test/http/other-contexts.spec.ts',
  'test/http/passport.spec.ts',
  'test/http/routing.spec.ts',
  'test/http/streams.spec.ts',
  'test/inspector/readers.spec.ts',
  'test/inspector/server.spec.ts',
  'test/jobs/chunks.spec.ts',
  'test/jobs/input-sources.spec.ts',
  'test/jobs/job-limits.spec.ts',
  'test/jobs/retry.spec.ts',
  'test/jobs/strange-values.spec.ts',
  'test/messages/gateways.spec.ts',
  'test/messages/listeners.spec.ts',
  'test/messages/microservices.spec.ts',
  'test/misuse/pool-deadlock.spec.ts',
  'test/misuse/shared-session.spec.ts',
  'test/misuse/unflushed-changes.spec.ts',
  'test/module/connections.spec.ts',
  'test/module/seams.spec.ts',
  'test/network/dead-network.spec.ts',
  'test/network/first-run.spec.ts',
  'test/network/left-requests.spec.ts',
  'test/network/lost-answers.spec.ts',
  'test/network/streams.spec.ts',
  'test/properties/rollbacks.spec.ts',
  'test/queue/chunks.spec.ts',
  'test/queue/dead-network.spec.ts',
  'test/queue/job-queue-module.spec.ts',
  'test/queue/policies.spec.ts',
  'test/queue/stored-values.spec.ts',
  'test/queue/telemetry.spec.ts',
  'test/session-types.spec.ts',
  'test/session/after-rollback.spec.ts',
  'test/session/reset-connections.spec.ts',
  'test/session/rolled-back-entity.spec.ts',
  'test/tenants/two-tenants.spec.ts',
  'test/testing/own-database.spec.ts',
  'test/testing/places.spec.ts',
  'test/testing/self-waits.spec.ts',
  'test/testing/surroundings.spec.ts',
  'test/testing/test-transaction.spec.ts',
];

/** What `npm run test:quick` leaves out. `npm test` begins with the long ones. */
export const slowSpecs: readonly string[] = [...longSpecs, ...tediousSpecs];

const root = new URL('../../', import.meta.url);

/** Whether a spec, named by its absolute path, is a long one: its place among them, or -1. */
export function findLongSpec(path: string): number {
  return longSpecs.findIndex((spec) => isAt(path, spec));
}

export function isSlow(path: string): boolean {
  return slowSpecs.some((spec) => isAt(path, spec));
}

function isAt(path: string, spec: string): boolean {
  return fileURLToPath(new URL(spec, root)) === path;
}

/** @throws {Error} when the list names a file that is not there */
export function checkSlowSpecs(): void {
  const missing = slowSpecs.filter((spec) => !existsSync(new URL(spec, root)));
  if (missing.length > 0) {
    throw new Error(`test/support/slow-specs.ts names specs that are not there: ${missing.join(', ')}`);
  }
}
