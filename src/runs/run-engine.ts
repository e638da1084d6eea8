/**
 * Where the jobs of a run are run. `process`: in the process that took the request. `queue`: in all processes that run
 * jobs of the queue, on any machine.
 */
export const runEngines = ['process', 'queue'] as const;

export type RunEngine = (typeof runEngines)[number];
