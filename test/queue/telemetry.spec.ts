import { SpanKind, trace } from '@opentelemetry/api';
import { Injectable } from '@nestjs/common';
import { type JobWorker, SessionFactory } from 'nestjs-mikro-session';
import { JobHandler, JobQueue, JobQueueModule } from 'nestjs-mikro-session/pg-boss';

import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { CollectedTelemetry } from '../telemetry/collected-telemetry.js';

declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    traced: string;
  }
}

@Injectable()
@JobHandler({ queue: 'traced' })
class TracedHandler implements JobWorker<string, void> {
  handle(): void {
    trace.getTracer('handler').startSpan('the work').end();
  }
}

describe('OpenTelemetry in durable jobs', () => {
  const telemetry = new CollectedTelemetry();
  let database: TestDatabase;
  let app: TestApp;

  beforeAll(async () => {
    telemetry.start();
    database = await createTestDatabase();
    app = await startTestApp({
      databaseUrl: database.url,
      imports: [JobQueueModule.forRoot({ boss: { openTelemetry: { propagateContext: false } } })],
      providers: [TracedHandler],
    });
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
    await telemetry.stop();
  });

  it('has the span of the session within that of pg-boss, and the work within both', async () => {
    const queue = app.get<JobQueue>(JobQueue);
    await app.get<SessionFactory>(SessionFactory).begin(() => queue.send('traced', 'hello'));
    await database.until(`select count(*) = 1 from pgboss.job where state = 'completed'`);
    const boss = await queue.boss();
    // The span of a job ends a moment after its commit.
    await boss.offWork('traced');

    const find = (name: RegExp) => telemetry.spans.find((span) => name.test(span.name));
    const [processing, scope, work] = [find(/^process traced$/), find(/queue "traced"/), find(/^the work$/)];
    expect(processing?.kind).toBe(SpanKind.CONSUMER);
    expect(scope?.parentSpanContext?.spanId).toBe(processing?.spanContext().spanId);
    expect(work?.parentSpanContext?.spanId).toBe(scope?.spanContext().spanId);
    expect(find(/^send traced$/)?.kind).toBe(SpanKind.PRODUCER);
  });
});
