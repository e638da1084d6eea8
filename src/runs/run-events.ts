import type { MessageEvent } from '@nestjs/common';
import { asyncScheduler, concat, defer, map, type Observable, of, throttleTime } from 'rxjs';

import type { LiveRun } from './live-run.js';
import type { RunView } from './run-view.js';

const INTERVAL_MS = 100;

/** The events of a run that goes on: how far it has come, a few times a second, and its end. */
export function eventsOf(live: LiveRun): Observable<MessageEvent> {
  return concat(
    live.views.pipe(
      throttleTime(INTERVAL_MS, asyncScheduler, { leading: true, trailing: true }),
      map(({ state, done, failed, total }) => ({
        type: 'progress',
        data: { state, done, failed, total, ...live.pace },
      })),
    ),
    defer(() => endEvent(live.view)),
  );
}

export function endEvent(run: RunView): Observable<MessageEvent> {
  return of({ type: 'end', data: run });
}
