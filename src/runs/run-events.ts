import type { MessageEvent } from '@nestjs/common';
import { concat, concatMap, defer, distinctUntilChanged, map, type Observable, of } from 'rxjs';

import type { LiveRun, Pace } from './live-run.js';
import type { RunView } from './run-view.js';

/** The events of a run that goes on in this process: how far it has come, a few times a second, and its end. */
export function runEvents(live: LiveRun): Observable<MessageEvent> {
  return concat(
    live.views.pipe(map((view) => progressEvent(view, live.pace))),
    defer(() => endEvent(live.view)),
  );
}

/** The same of a run that goes on elsewhere, and is looked at from time to time. */
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

/** Also of a look that began earlier and came later. */
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
