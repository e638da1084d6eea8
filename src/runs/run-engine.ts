/** Who runs the jobs of a run. `process`: the one that took the request. `queue`: all that work the queue, on any machine. */
export const runEngines = ['process', 'queue'] as const;

export type RunEngine = (typeof runEngines)[number];
