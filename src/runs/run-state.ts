/**
 * `pending`: waits for its turn. `running`. `done`: every job has ended, `failed` tells how many of them threw.
 * `cancelled`: a client stopped it. `interrupted`: the process ended first, or the run found no database to begin with.
 */
export const runStates = ['pending', 'running', 'done', 'cancelled', 'interrupted'] as const;

export type RunState = (typeof runStates)[number];

/** How a run ends. */
export type RunEnding = Exclude<RunState, 'pending' | 'running'>;
