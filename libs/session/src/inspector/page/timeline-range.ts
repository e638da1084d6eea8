import { computed, signal } from '@preact/signals';

import type { Range } from './draw-timeline.js';
import { ended } from './store.js';

const SHORTEST_MS = 1;

/** Undefined shows all, and follows the newest. */
export const chosenRange = signal<Range | undefined>(undefined);

const whole = computed<Range>(() => {
  const scopes = ended.value;
  const from = Math.min(...scopes.map(({ openedAt }) => openedAt));
  const to = Math.max(...scopes.map(({ openedAt, duration }) => openedAt + duration));
  return scopes.length === 0 ? { from: 0, to: 1 } : { from, to: Math.max(to, from + SHORTEST_MS) };
});

/** The range of time that the timeline shows. */
export const shownRange = computed<Range>(() => chosenRange.value ?? whole.value);

/** Shows a time, with some room at both ends. */
export function showTime(from: number, to: number): void {
  const room = Math.max((to - from) * 0.03, SHORTEST_MS);
  chosenRange.value = { from: from - room, to: to + room };
}

/** @param around the part of the range that keeps its position, from 0 to 1 */
export function zoom(by: number, around = 0.5): void {
  const { from, to } = shownRange.value;
  const length = Math.max((to - from) * by, SHORTEST_MS);
  const middle = from + (to - from) * around;
  chosenRange.value = { from: middle - length * around, to: middle + length * (1 - around) };
}

/** @param by a part of the range. Below 0 is earlier */
export function move(by: number): void {
  chosenRange.value = shift(shownRange.value, by);
}

export function shift({ from, to }: Range, by: number): Range {
  const way = (to - from) * by;
  return { from: from + way, to: to + way };
}
