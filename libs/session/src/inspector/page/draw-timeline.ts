import type { EndedScope } from '../state/inspector-state.js';
import { colour } from './colour.js';

/** The range of time that the timeline shows. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

export interface Drawing extends Range {
  readonly lanes: readonly (readonly EndedScope[])[];
  readonly selected: number | undefined;
}

const AXIS = 22;
const HIGHEST_LANE = 18;
const LOWEST_LANE = 5;
const MOST_HEIGHT = 360;

function laneHeight(lanes: number): number {
  return Math.max(LOWEST_LANE, Math.min(HIGHEST_LANE, Math.floor((MOST_HEIGHT - AXIS) / Math.max(lanes, 1))));
}

/**
 * Draws a bar for each scope: pale outside of transactions, striped while it waited for a connection, full in a
 * transaction.
 */
export function drawTimeline(canvas: HTMLCanvasElement, drawing: Drawing): void {
  const { lanes, from, to, selected } = drawing;
  const context = canvas.getContext('2d');
  if (context === null) {
    return;
  }
  const width = canvas.clientWidth;
  const step = laneHeight(lanes.length);
  const height = AXIS + Math.max(lanes.length, 3) * step;
  const scale = devicePixelRatio;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.style.height = `${height}px`;
  context.scale(scale, scale);
  const toX = (at: number): number => ((at - from) / (to - from)) * width;
  drawAxis(context, { from, to }, width, height);
  const colours = new Map<string, string>();
  const colourOf = (name: string): string => {
    const known = colours.get(name) ?? colour(name);
    colours.set(name, known);
    return known;
  };
  lanes.forEach((lane, index) => {
    const y = AXIS + index * step;
    for (const scope of lane) {
      const left = toX(scope.openedAt);
      const right = toX(scope.openedAt + scope.duration);
      if (right < 0 || left > width) {
        continue;
      }
      const bar = { y: y + 1, height: step - 2 };
      const ink = colourOf(scope.outcome);
      context.fillStyle = ink;
      context.globalAlpha = 0.3;
      context.fillRect(left, bar.y, Math.max(right - left, 1.5), bar.height);
      context.globalAlpha = 1;
      for (const [kind, begin, end] of scope.parts) {
        const x = toX(scope.openedAt + begin);
        const length = Math.max(toX(scope.openedAt + end) - x, 1);
        context.fillStyle = kind === 'transaction' ? ink : colourOf('waiting');
        context.fillRect(
          x,
          kind === 'transaction' ? bar.y : bar.y + bar.height * 0.3,
          length,
          kind === 'transaction' ? bar.height : bar.height * 0.4,
        );
      }
      if (scope.key === selected) {
        context.strokeStyle = colourOf('text');
        context.lineWidth = 2;
        context.strokeRect(left - 1, bar.y - 0.5, Math.max(right - left, 2) + 2, bar.height + 1);
      }
    }
  });
}

/** Finds the scope at a point of the drawing. */
export function findScope({ lanes, from, to }: Drawing, x: number, y: number, width: number): EndedScope | undefined {
  const lane = lanes[Math.floor((y - AXIS) / laneHeight(lanes.length))] ?? [];
  const at = from + (x / width) * (to - from);
  const near = (3 / width) * (to - from);
  return lane.find(({ openedAt, duration }) => at >= openedAt - near && at <= openedAt + duration + near);
}

function drawAxis(context: CanvasRenderingContext2D, { from, to }: Range, width: number, height: number): void {
  const steps = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 3e4, 6e4, 3e5, 6e5, 1.8e6, 3.6e6, 2.16e7, 8.64e7,
  ];
  const wanted = ((to - from) / width) * 110;
  const step = steps.find((one) => one >= wanted) ?? 8.64e7;
  context.font = '12px system-ui, sans-serif';
  context.textBaseline = 'top';
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
    const x = ((at - from) / (to - from)) * width;
    context.fillStyle = colour('line');
    context.fillRect(x, 0, 1, height);
    context.fillStyle = colour('muted');
    context.fillText(describeTime(at, step), x + 4, 4);
  }
}

function describeTime(at: number, step: number): string {
  const date = new Date(at);
  const time = date.toLocaleTimeString('en-GB');
  return step >= 1_000 ? time : `${time.slice(3)}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}
