import type { MessageEvent } from '@nestjs/common';
import { concat, concatMap, defer, distinctUntilChanged, map, type Observable, of } from 'rxjs';

import type { LiveRun, Pace } from '../runs/live-run.js';
import type { RunView } from '../runs/run-view.js';

/** Returns the events of a run of this process: its progress, a few times a second, and its end. */
export function runEvents(live: LiveRun): Observable<MessageEvent> {
  return concat(
    live.views.pipe(map((view) => progressEvent(view, live.pace))),
    defer(() => endEvent(live.view)),
  );
}

/** Returns the events of a run of other processes, from regular looks at the database. */
export function runEventsFromOutside(looks: Observable<RunView>): Observable<MessageEvent> {
  return looks.pipe(
    distinctUntilChanged((before, now) => isNoFurther(now, before)),
    concatMap((run) => concat(of(progressEvent(run, paceOf(run))), run.finishedAt === null ? [] : endEvent(run))),
  );
}

export function endEvent(run: RunView): Observable<MessageEvent> {
  return of({ type: 'end', data: run });
}

function progressEvent({ state, done, failed, total }: RunView, pace: Pace | undefined): MessageEvent {
  return { type: 'progress', data: { state, done, failed, total, ...pace } };
}

/** Whether a look shows no progress, or is older than the one before. */
function isNoFurther(now: RunView, before: RunView): boolean {
  return now.state === before.state && now.done + now.failed <= before.done + before.failed;
}

function paceOf({ startedAt, finishedAt, done, failed, total }: RunView): Pace | undefined {
  const ended = done + failed;
  const elapsed = (finishedAt?.getTime() ?? Date.now()) - (startedAt?.getTime() ?? Infinity);
  if (ended === 0 || elapsed <= 0) {
    return undefined;
  }
  const rate = (ended * 1_000) / elapsed;
  return { rate, timeLeft: ((total - ended) / rate) * 1_000 };
}
