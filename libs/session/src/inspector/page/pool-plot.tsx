import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';

import type { PoolView } from '../state/inspector-state.js';
import { colour, scheme } from './colour.js';

const HEIGHT = 150;
const SPAN_S = 300;

interface PoolPlotProps {
  readonly pool: PoolView;
  readonly label: string;
}

/** Plots the use of a pool in the last five minutes. */
export function PoolPlot({ pool, label }: PoolPlotProps): ComponentChildren {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const theme = scheme.value;

  useEffect(() => {
    const element = place.current;
    if (element === null) {
      return undefined;
    }
    const made = new uPlot(options(element.clientWidth, pool.max), toData(pool), element);
    plot.current = made;
    const resizing = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    resizing.observe(element);
    return () => {
      resizing.disconnect();
      made.destroy();
    };
  }, [theme]);

  useEffect(() => {
    plot.current?.setData(toData(pool));
  }, [pool]);

  return <div ref={place} class="plot" role="img" aria-label={label} />;
}

function toData({ samples }: PoolView): uPlot.AlignedData {
  return [
    samples.map(([at]) => at / 1_000),
    samples.map(([, inUse]) => inUse),
    samples.map(([, , waiting]) => waiting),
    samples.map(([, , , size]) => size),
  ];
}

function options(width: number, max = 0): uPlot.Options {
  const axis: uPlot.Axis = {
    stroke: colour('muted'),
    grid: { stroke: colour('line'), width: 1 },
    ticks: { stroke: colour('line'), width: 1 },
    font: '12px system-ui, sans-serif',
  };
  return {
    width,
    height: HEIGHT,
    cursor: { show: false },
    legend: { show: false },
    scales: {
      x: { range: (_plot, _from, to) => [(to ?? Date.now() / 1_000) - SPAN_S, to ?? Date.now() / 1_000] },
      y: { range: (_plot, _from, to) => [0, Math.max(max, Math.ceil(to ?? 0)) * 1.05] },
    },
    axes: [
      {
        ...axis,
        size: 30,
        values: (_plot, times) => times.map((time) => new Date(time * 1_000).toLocaleTimeString('en-GB')),
        space: 90,
      },
      { ...axis, size: 34, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000] },
    ],
    series: [
      {},
      { stroke: colour('accent'), width: 2, fill: colour('accent-faint'), points: { show: false } },
      { stroke: colour('failed'), width: 2, points: { show: false } },
      { stroke: colour('muted'), width: 1, dash: [4, 4], points: { show: false } },
    ],
  };
}
